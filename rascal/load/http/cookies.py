"""Cookies of one user by `http.cookiejar`, and the finished Cookie line for each place.

A user without cookies has no jar. With cookies, the line is made once for each origin (and path,
if any cookie is for a path) until the jar changes or the first of its cookies ends.
"""

from __future__ import annotations

import time
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from treq.cookies import IndexableCookieJar, scoped_cookie

from rascal.load.http.urls import Template

if TYPE_CHECKING:
    from rascal.load.http.wire import Head

LINES = 64
"""Lines that are kept for one user."""
COOKIES = 1000
"""In one jar; a server that sets ever new ones does not fill the memory."""
_POLICY = DefaultCookiePolicy()


class Jar(IndexableCookieJar):
    """A jar that knows when it was changed."""

    def __init__(self) -> None:
        super().__init__(_POLICY)
        self.version = 0
        self._lines: dict[tuple[Any, str], tuple[int, float, bytes]] = {}
        self._taken: tuple[Any, ...] = ()

    def set_cookie(self, cookie: Cookie) -> None:
        self.version += 1
        super().set_cookie(cookie)

    def clear(
        self, domain: str | None = None, path: str | None = None, name: str | None = None
    ) -> None:
        self.version += 1
        super().clear(domain, path, name)

    def line(self, template: Template) -> bytes:
        """The Cookie header for this request, or nothing."""
        version = self.version
        key = (template.origin, template.path.partition("?")[0])
        found = self._lines.get(key)
        now = time.time()
        if found is not None and found[0] == version and found[1] > now:
            return found[2]
        request = _Request(template)
        self.add_cookie_header(request)  # type: ignore[arg-type]
        line = f"Cookie: {request.cookie}\r\n".encode() if request.cookie else b""
        ends = min((one.expires for one in self if one.expires is not None), default=now + 3600)
        if len(self._lines) >= LINES:
            self._lines.clear()
        self._lines[key] = (self.version, min(ends, now + 3600), line)
        return line

    def take(self, template: Template, head: Head) -> None:
        """Take what a reply sets."""
        lines = tuple(
            line[11:] for line in head.raw.split(b"\r\n") if line[:11].lower() == b"set-cookie:"
        )
        taken = (template.origin, template.path, lines, self.version)
        if taken == self._taken:
            return  # the same once more, as some servers do with every reply
        self.extract_cookies(_Reply(lines), _Request(template))  # type: ignore[arg-type]
        if len(self) > COOKIES:
            self.clear()
        timed = any(b"max-age" in line.lower() or b"expires" in line.lower() for line in lines)
        self._taken = () if timed else (*taken[:3], self.version)

    def give(self, template: Template, cookies: Any) -> None:
        """Add cookies of the caller's, as treq's `cookies=` does."""
        if isinstance(cookies, CookieJar):
            for cookie in cookies:
                self.set_cookie(cookie)
            return
        origin = template.web_url if not template.origin.unix else "http://localhost/"
        for name, value in dict(cookies).items():
            cookie = scoped_cookie(origin, name, value)
            known = self._cookies.get(cookie.domain, {}).get("/", {}).get(name)  # type: ignore[attr-defined]
            if known is None or known.value != value:
                self.set_cookie(cookie)


class _Request:
    """What http.cookiejar asks of a request."""

    unverifiable = False

    def __init__(self, template: Template) -> None:
        self._url = template.web_url
        origin = template.origin
        self.type = "https" if origin.tls else "http"
        self.host = origin.host_header.decode("ascii")
        self.origin_req_host = origin.host if not origin.unix else "localhost"
        self.cookie = ""

    def get_full_url(self) -> str:
        return self._url

    def has_header(self, name: str) -> bool:
        return False

    def get_header(self, name: str, default: str | None = None) -> str | None:
        return default

    def add_unredirected_header(self, name: str, value: str) -> None:
        if name == "Cookie":
            self.cookie = value


class _Reply:
    """What http.cookiejar asks of a reply."""

    def __init__(self, lines: tuple[bytes, ...]) -> None:
        self._lines = [line.strip().decode("utf-8", "replace") for line in lines]

    def info(self) -> _Reply:
        return self

    def get_all(self, name: str, default: Any = None) -> Any:
        return self._lines if name == "Set-Cookie" else default
