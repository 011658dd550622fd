"""Who gets in: Host, Origin, log-in sessions, form tokens, roles, the policy of every page.

A browser logs in with a token (POST /login) and gets a cookie: random, HttpOnly, SameSite=Strict,
kept here as a hash with its role and its end. A change needs that cookie, an Origin of ours, JSON,
and the form token of the session, which only our own pages know. Programs send
`Authorization: Bearer TOKEN` and need none of it. Without configured tokens (on loopback only)
everyone is admin; Host, Origin and form token are checked all the same.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from rascal.control._auth import Role, Tokens, check_host, check_origin
from rascal.control._problems import Problem
from rascal.panel.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",  # with no-referrer forms come from nowhere (Origin: null)
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
}
COOKIE = "rascal_session"
FORM = b"x-csrf-token"
LOOKING = (b"GET", b"HEAD")
SESSIONS = 1000
"""Log-ins at the same time; the oldest ends for the next."""
TRIES, PER = 10, 60.0
"""Wrong log-ins from one address in so many seconds, until it has to wait."""


@attrs.define
class Caller:
    """Who asks."""

    role: Role
    name: str
    form: str
    """The form token of the session; "" for programs."""
    session: str = ""

    def may(self, role: Role) -> bool:
        """Whether the role allows what needs that one."""
        order = ("viewer", "operator", "admin")
        return order.index(self.role) >= order.index(role)


@attrs.define
class _Session:
    role: Role
    name: str
    form: str
    ends: float


class Door:
    """Checks requests; `seconds` is the clock of sessions."""

    def __init__(self, settings: Settings, seconds: Callable[[], float]) -> None:
        self.settings = settings
        self._seconds = seconds
        self._tokens = Tokens()
        self._sessions: dict[str, _Session] = {}
        self._tries: dict[str, deque[float]] = {}
        # Without log-in the form token is one for all, and lives as long as the process.
        self._open_form = secrets.token_urlsafe(24)

    @property
    def open(self) -> bool:
        """Nobody has to log in."""
        return not self.settings.tokens

    def who_may(self, role: Role) -> str:
        """The names of those who have at least that role, in words; "" without log-in."""
        order = ("viewer", "operator", "admin")
        names = [
            one.name
            for one in self.settings.tokens
            if one.name and order.index(one.role) >= order.index(role)
        ]
        return ", ".join(sorted(set(names)))

    def caller(self, request: Any) -> Caller | None:
        """Who asks; None: somebody who has to log in. Raises Problem for what is refused."""
        host = _header(request, b"host")
        configuration: Any = self.settings
        check_host(host, configuration)
        check_origin(_header(request, b"origin"), _header(request, b"sec-fetch-site"), host)
        authorization = request.getHeader(b"authorization")
        if authorization and self.settings.tokens:
            role, name = self._tokens.caller(authorization, self.settings.tokens)
            return Caller(role, name, "")
        found = self._session(request)
        if found is None:
            return None
        if request.method not in LOOKING:
            self._check_form(request, found)
        return found

    def _session(self, request: Any) -> Caller | None:
        if self.open:
            return Caller("admin", "admin", self._open_form)
        given = request.getCookie(COOKIE.encode())
        if not given:
            return None
        key = _hashed(given.decode("latin-1"))
        known = self._sessions.get(key)
        if known is None or known.ends < self._seconds():
            self._sessions.pop(key, None)
            return None
        return Caller(known.role, known.name, known.form, key)

    def _check_form(self, request: Any, caller: Caller) -> None:
        if not _header(request, b"origin"):
            raise Problem(403, "origin-missing", "a change names the page that it comes from")
        given = request.getHeader(FORM) or b""
        if not hmac.compare_digest(given, caller.form.encode()):
            raise Problem(
                403, "form-token", "the page is older than the panel: reload it and try again"
            )

    # ---- logging in and out

    def log_in(self, token: str, address: str) -> tuple[str, Caller]:
        """The cookie's value, and who that is. Raises Problem: wrong token, or too many tries."""
        tries = self._tries.setdefault(address, deque(maxlen=TRIES))
        now = self._seconds()
        if len(tries) == TRIES and now - tries[0] < PER:
            wait = max(1, round(PER - (now - tries[0])))
            raise Problem(
                429, "too-many-tries", f"too many wrong log-ins: try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )  # fmt: skip
        try:
            role, name = self._tokens.caller(b"Bearer " + token.encode(), self.settings.tokens)
        except Problem:
            tries.append(now)
            if len(self._tries) > SESSIONS:
                self._tries.pop(next(iter(self._tries)))
            raise Problem(401, "wrong-token", "this token is not known") from None
        self._tries.pop(address, None)
        while len(self._sessions) >= SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        value, form = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        ends = now + self.settings.session
        self._sessions[_hashed(value)] = _Session(role, name, form, ends)
        return value, Caller(role, name, form, _hashed(value))

    def lasts(self, caller: Caller) -> bool:
        """Whether somebody who was let in is still in; tokens and open panels have no end."""
        known = self._sessions.get(caller.session)
        return not caller.session or (known is not None and known.ends >= self._seconds())

    def log_out(self, caller: Caller) -> None:
        """End the session."""
        self._sessions.pop(caller.session, None)

    def logged_in(self) -> list[dict[str, Any]]:
        """Who is logged in: name, role, seconds until that ends; nothing that opens a door."""
        now = self._seconds()
        found = [
            {"name": one.name, "role": one.role, "left": round(one.ends - now)}
            for one in self._sessions.values()
            if one.ends > now
        ]
        return sorted(found, key=lambda one: (one["name"], -one["left"]))

    def cookie(self, value: str, *, secure: bool) -> bytes:
        """The header that sets it; an empty value takes it away."""
        age = int(self.settings.session) if value else 0
        more = "; Secure" if secure else ""
        text = f"{COOKIE}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{more}"
        return text.encode()


def _hashed(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _header(request: Any, name: bytes) -> str | None:
    value = request.getHeader(name)
    return None if value is None else value.decode("latin-1")
