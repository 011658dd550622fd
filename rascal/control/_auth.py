"""Who may call: Host, Origin and tokens.

A browser on this machine can reach a port on loopback from any page. Three checks stop such
pages: `Host` must be a name of ours (a page whose name was re-pointed to 127.0.0.1 still sends its
own), `Origin` and `Sec-Fetch-Site` must say that the page is ours, and a change needs
`Content-Type: application/json`, which a foreign page may not send unasked.

Tokens come as `Authorization: Bearer TOKEN`. Their SHA-256 is compared in constant time with that
of every configured token, which is all that is kept of it. Without configured tokens everyone on
this machine is admin.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Literal

from rascal.config import Configuration, Token
from rascal.config.clashes import is_loopback
from rascal.config.tokens import HASHED, hash_token
from rascal.control._problems import Problem
from rascal.errors import ConfigError

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
"""Each may do what those before it may."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:@/?#\s]+)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"https?://([^/?#@\s]+)")


def check_exposure(configuration: Configuration) -> None:
    """Raise ConfigError if others than this machine could use the API without a token, unless
    they are to use the compatible API."""
    control = configuration.control
    if control is None or configuration.tokens or is_loopback(control):
        return
    if configuration.compatible == "open":
        return
    raise ConfigError(
        f"the control API on {control} needs tokens: set 'tokens', or listen on 127.0.0.1",
        section="rascal",
        option="control",
        value=str(control),
        code="tokens-missing",
    )


def check_exposed(configuration: Configuration, address: str) -> None:
    """Refuse others than this machine where only the compatible API is open to them."""
    control = configuration.control
    if configuration.compatible != "open" or configuration.tokens or is_here(address):
        return
    if control is None or is_loopback(control):
        return
    raise _unauthorised("a token is needed here, and none is configured: set [rascal] tokens")


def is_here(address: str) -> bool:
    """Whether a caller's address is one of this machine's own."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address == "unix"
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def check_host(host: str | None, configuration: Configuration) -> None:
    """Refuse a Host that is no name of ours."""
    found = _HOST.fullmatch(host or "")
    if not found:
        raise Problem(400, "host-missing", "the request names its Host")
    name = found[1].strip("[]").rstrip(".").lower()
    if not _ours(name, configuration):
        allowed = ["localhost", "127.0.0.1", "[::1]", *configuration.hosts]
        raise Problem(
            403,
            "host-not-allowed",
            f"this is not served as '{name}': name it in [rascal] hosts",
            allowed=allowed,
        )


def _ours(name: str, configuration: Configuration) -> bool:
    hosts = {host.strip("[]").rstrip(".").lower() for host in configuration.hosts}
    if name == "localhost" or name.endswith(".localhost") or name in hosts:
        return True
    control = configuration.control
    if control is not None and control.type == "tcp" and name == control.host.lower():
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    # A page cannot have its name re-pointed to an address when it was called by that address.
    return address.is_loopback or (control is not None and not is_loopback(control))


def check_origin(origin: str | None, fetch_site: str | None, host: str | None) -> None:
    """Refuse what another site's page sends."""
    if fetch_site is not None and fetch_site.lower() not in ("same-origin", "none"):
        raise Problem(
            403, "origin-not-allowed", f"requests of other pages are refused ({fetch_site})"
        )
    if origin is None:
        return
    found = _ORIGIN.fullmatch(origin)
    if not found or found[1].lower() != (host or "").lower():
        raise Problem(403, "origin-not-allowed", "requests of other pages are refused")


class Tokens:
    """The configured tokens, hashed; read anew when the configuration changes."""

    def __init__(self) -> None:
        self._of: Sequence[Token] = ()
        self._hashed: list[tuple[bytes, Role, str]] = []

    def caller(self, authorization: bytes, tokens: Sequence[Token]) -> tuple[Role, str]:
        """What the caller may do, and who that is in the log. Raises Problem (401)."""
        if not tokens:
            return "admin", "admin"
        if tokens is not self._of:
            self._of, self._hashed = tokens, list(_hashes(tokens))
        scheme, _, given = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not given.strip():
            raise _unauthorised("a token is needed: Authorization: Bearer TOKEN")
        digest = hashlib.sha256(given.strip()).digest()
        found: tuple[Role, str] | None = None
        for known, role, name in self._hashed:  # all of them: the time tells nothing
            same = hmac.compare_digest(digest, known)
            if same and (found is None or _rank(role) > _rank(found[0])):
                found = role, f"{role} {name}"
        if found is None:
            raise _unauthorised("this token is not known")
        return found


def require(has: Role, needs: Role) -> None:
    """Refuse what the caller's role does not allow."""
    if _rank(has) < _rank(needs):
        raise Problem(
            403,
            "role-missing",
            f"this needs the role {needs}; the token's is {has}",
            allowed=[role for role in ROLES if _rank(role) >= _rank(needs)],
        )


def _rank(role: Role) -> int:
    return ROLES.index(role)


def _hashes(tokens: Iterable[Token]) -> Iterable[tuple[bytes, Role, str]]:
    for token in tokens:
        hashed = HASHED.fullmatch(token.secret)
        text = hashed[1] if hashed else hash_token(token.secret)
        digest = bytes.fromhex(text.removeprefix("sha256:"))
        yield digest, token.role, token.name or digest.hex()[:8]


def _unauthorised(text: str) -> Problem:
    return Problem(401, "token-needed", text, headers={"WWW-Authenticate": 'Bearer realm="rascal"'})
