"""Where a request goes and how its head begins, prepared once for each method and URL.

A URL without a scheme is written behind the base, path prefix included: `/items` at the base
`http://shop.example/api` is `/api/items`. `http+unix://%2Frun%2Fshop.sock/items` goes to a UNIX
socket.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from rascal.load.http.names import is_literal

SCHEMES = {"http": 80, "https": 443, "http+unix": 0, "https+unix": 0}
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
REMEMBERED = 4096
"""Prepared requests in each of the two generations that are kept."""
_TARGET = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
_TARGET_SAFE = "-._~!$&'()*+,;=:@/?%[]"
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-.]*[A-Za-z0-9_.])?")
_VARIABLE = re.compile(r"[0-9]+|[0-9a-fA-F-]{16,}|[A-Za-z0-9_-]{24,}")
_VALUE = re.compile(r"[^\r\n\0]*")
_DROPPED = {9: "%09", 10: "%0A", 13: "%0D"}
"""Characters that urlsplit would silently leave out."""
SENSITIVE = frozenset((b"authorization", b"cookie", b"cookie2", b"proxy-authorization"))
"""Headers that another origin does not get."""


class Origin:
    """Scheme, host and port: what connections belong to."""

    __slots__ = ("host", "host_header", "literal", "pool", "port", "scheme", "text", "tls", "unix")

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self.scheme = scheme
        self.host = host
        """A name, an address without brackets, or the path of a UNIX socket."""
        self.port = port
        self.pool: Any = None
        """Its shared connections, once there are some (rascal.load.http.pools)."""
        self.tls = scheme.startswith("https")
        self.unix = scheme.endswith("+unix")
        self.literal = not self.unix and is_literal(host)
        shown = f"[{host}]" if ":" in host else host
        if self.unix:
            self.host_header = b"localhost"
            self.text = f"{scheme}://{quote(host, safe='')}"
        else:
            standard = port == SCHEMES[scheme]
            authority = shown if standard else f"{shown}:{port}"
            self.host_header = authority.encode("ascii")
            self.text = f"{scheme}://{authority}"

    def __repr__(self) -> str:
        return f"<Origin {self.text}>"


class Template:
    """A request but for what differs from one time to the next."""

    __slots__ = (
        "authorization",
        "data",
        "defaults",
        "empty",
        "head_only",
        "idempotent",
        "method",
        "name",
        "origin",
        "path",
        "start",
        "userinfo",
    )

    def __init__(
        self, method: str, origin: Origin, path: str, userinfo: str, defaults: Headers
    ) -> None:
        self.method = method
        self.origin = origin
        self.path = path
        """With the query: what stands in the request line."""
        self.userinfo = userinfo
        self.defaults = defaults
        self.head_only = method == "HEAD"
        self.idempotent = method in IDEMPOTENT
        self.name = f"{method} {flow_path(path)}"
        self.start = b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (
            method.encode("ascii"),
            path.encode("ascii"),
            origin.host_header,
        )
        self.authorization = basic(unquote(userinfo).encode("utf-8")) if userinfo else b""
        with_body = method in ("POST", "PUT", "PATCH")
        self.empty = b"Content-Length: 0\r\n\r\n" if with_body else b"\r\n"
        """How a request without a body ends."""
        self.data = b"%s%s%s%s" % (self.start, defaults.lines, self.authorization, self.empty)
        """The whole request, if it has neither body, cookies nor headers of its own."""

    @property
    def url(self) -> str:
        """Absolute."""
        return self.origin.text + self.path

    @property
    def web_url(self) -> str:
        """The same as cookies and redirects see it: a UNIX socket is localhost to them."""
        return "http://localhost" + self.path if self.origin.unix else self.url


class Headers:
    """Header lines that go with every request, by name so that a request can replace them."""

    __slots__ = ("lines", "named")

    def __init__(self, named: Mapping[bytes, bytes]) -> None:
        self.named = dict(named)
        self.lines = b"".join(self.named.values())

    def without(self, names: Iterable[bytes]) -> bytes:
        """The lines, but those of these (lower-case) names."""
        names = set(names)
        if names.isdisjoint(self.named):
            return self.lines
        return b"".join(line for name, line in self.named.items() if name not in names)


def basic(secret: bytes) -> bytes:
    """The Authorization line for `user:password`."""
    return b"Authorization: Basic %s\r\n" % b64encode(secret)


def header_line(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    """The lower-case name and the line. Raises ValueError if it would not be one line."""
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if isinstance(value, bytes):
        value = value.decode("latin-1")
        raw = value.encode("latin-1")
    else:
        raw = value.encode("utf-8")
    if not _METHOD.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a header")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header '{name}' has a line break or NUL in it")
    return name.lower().encode("ascii"), b"%s: %s\r\n" % (name.encode("ascii"), raw.strip())


def flow_path(path: str) -> str:
    """A path as part of a flow's name: no query, and `*` for what looks like an id."""
    path = path.partition("?")[0]
    if len(path) > 200:
        path = path[:200]
    parts = path.split("/")
    return "/".join("*" if part and _VARIABLE.fullmatch(part) else part for part in parts)


class Urls:
    """The prepared requests below one base."""

    def __init__(self, base: str, headers: Headers, foreign: Headers) -> None:
        """`foreign` are the headers for other origins than that of the base."""
        self._headers = headers
        self._foreign = foreign
        self._origins: dict[tuple[str, str, int], Origin] = {}
        self._young: dict[tuple[str, str], Template] = {}
        self._old: dict[tuple[str, str], Template] = {}
        self.base: Origin | None = None
        self._prefix = self._userinfo = ""
        if base:
            self.base, path, self._userinfo = self.split(base)
            self._prefix = path.partition("?")[0].rstrip("/")

    def get(self, method: str, url: str) -> Template:
        """The prepared request. Raises ValueError for what is no URL."""
        key = (method, url)
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key) or self._prepare(method, url)
            if len(self._young) >= REMEMBERED:
                self._old, self._young = self._young, {}
            self._young[key] = found
        return found

    def redirected(self, template: Template, method: str, location: bytes) -> Template:
        """Where a redirect leads. Raises ValueError if it leads nowhere that may be asked."""
        where = urljoin(template.web_url, location.decode("utf-8", "replace"))
        origin = template.origin
        if origin.unix and where.startswith("http://localhost/"):
            path = _target(where[len("http://localhost") :])
            return Template(method, origin, path, "", template.defaults)
        found, path, _ = self.split(where)
        if found.unix:
            raise ValueError(f"'{where[:80]}' leads to a socket of this machine")
        if found is origin:
            return Template(method, origin, path, "", template.defaults)
        own = found is self.base
        return Template(method, found, path, "", self._headers if own else self._foreign)

    def _prepare(self, method: str, url: str) -> Template:
        verb = method.upper()
        if not _METHOD.fullmatch(verb):
            raise ValueError(f"'{method}' is no HTTP method")
        if self.base is not None and not _SCHEME.match(url):
            origin, userinfo = self.base, self._userinfo
            path = _target(url)
            slash = "" if path[:1] in ("/", "?") else "/"
            path = self._prefix + slash + path
            if path[:1] != "/":
                path = "/" + path
        else:
            origin, path, userinfo = self.split(url)
        own = self.base is None or origin is self.base
        return Template(verb, origin, path, userinfo, self._headers if own else self._foreign)

    def split(self, url: str) -> tuple[Origin, str, str]:
        """Origin, path with query, user info. Raises ValueError."""
        try:
            parts = urlsplit(url.translate(_DROPPED))
            port = parts.port
        except ValueError as error:
            raise ValueError(f"'{url}' is no URL: {error}") from None
        scheme = parts.scheme
        if scheme not in SCHEMES:
            raise ValueError(f"'{url}' is no URL that can be asked: write http:// or https://")
        userinfo, _, authority = parts.netloc.rpartition("@")
        if scheme.endswith("+unix"):
            host = unquote(authority)
            if not host.startswith("/"):
                raise ValueError(f"'{url}' names no socket: write http+unix://%2Fpath%2Fof.sock/")
        else:
            host = _host(parts.hostname or "", url)
        origin = self.origin(scheme, host, SCHEMES[scheme] if port is None else port)
        path = _target(parts.path) or "/"
        if parts.query:
            path += "?" + _target(parts.query)
        return origin, path, userinfo

    def origin(self, scheme: str, host: str, port: int) -> Origin:
        """The one object for it."""
        key = (scheme, host, port)
        found = self._origins.get(key)
        if found is None:
            if len(self._origins) >= REMEMBERED:
                self._origins = {}
                if self.base is not None:
                    base = self.base
                    self._origins[base.scheme, base.host, base.port] = base
            found = self._origins[key] = Origin(scheme, host, port)
        return found


def _host(host: str, url: str) -> str:
    if is_literal(host):
        return host
    try:
        ascii_host = host.encode("ascii" if host.isascii() else "idna").decode("ascii").lower()
    except UnicodeError:
        ascii_host = ""
    if not _HOST.fullmatch(ascii_host) or len(ascii_host) > 253:
        raise ValueError(f"'{url}' names no host")
    return ascii_host


def _target(text: str) -> str:
    """Path and query as they may stand in a request line; a fragment is left out."""
    text = text.partition("#")[0]
    return text if _TARGET.fullmatch(text) else quote(text, safe=_TARGET_SAFE)
