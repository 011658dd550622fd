"""Where a Redis is: its URL, and one line for each way in which it cannot be had."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from rascal.errors import ConfigError, CoordinationError, listed

SCHEMES = ("redis", "rediss", "unix")
CONNECT_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class Place:
    """Where a Redis is, and how to be let in."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    """Of a UNIX socket, instead of host and port."""
    database: int = 0
    user: str = ""
    password: str = attrs.field(default="", repr=False)
    tls: bool = False
    authorities: str = ""
    """File of the certificates to trust (PEM); "" for the system's."""

    def __str__(self) -> str:
        """Without the password."""
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it, as far as its name says."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return False


def parse_place(text: str, password: str = "") -> Place:
    """The place that a URL names. Raises ConfigError.

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS (?ca=FILE for authorities
    of one's own), unix:///path/of.sock[?db=N]; a bare HOST:PORT is redis://HOST:PORT.

    Args:
        password: used if the URL has none, so that it need not stand in a command line.
    """
    try:
        url = urlsplit(text if "://" in text else f"redis://{text}")
        port = url.port
    except ValueError as error:
        raise ConfigError(f"'{_masked(text)}' is no URL of a Redis: {error}") from error
    if url.scheme not in SCHEMES:
        allowed = listed(f"{scheme}://" for scheme in SCHEMES)
        raise ConfigError(f"'{url.scheme}://' is no Redis; allowed: {allowed}")
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    known = {"unix": ("db",), "rediss": ("ca",)}.get(url.scheme, ())
    for name in query:
        if name not in known:
            raise ConfigError(
                f"a {url.scheme}:// URL has no option '{name}'; options: {listed(known)}"
            )
    unix = url.scheme == "unix"
    if unix and not (url.path.startswith("/") and not url.hostname):
        raise ConfigError(f"'{_masked(text)}' names no socket: write unix:///path/of.sock")
    if not unix and not url.hostname:
        raise ConfigError(f"'{_masked(text)}' names no host: write {url.scheme}://HOST:6379")
    database = query.get("db", "") if unix else url.path.strip("/")
    if database and not (database.isascii() and database.isdigit() and len(database) < 6):
        raise ConfigError(f"'{database}' is no number of a Redis database")
    return Place(
        host="" if unix else url.hostname or "",
        port=0 if unix else port or 6379,
        path=unquote(url.path) if unix else "",
        database=int(database or 0),
        user=unquote(url.username or ""),
        password=unquote(url.password or "") or password,
        tls=url.scheme == "rediss",
        authorities=query.get("ca", ""),
    )


def _masked(text: str) -> str:
    head, at, tail = text.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at else text


def unreachable(place: Place, error: BaseException) -> str:
    from twisted.internet import error as net
    from twisted.internet.defer import TimeoutError as Waited

    if isinstance(error, net.DNSLookupError):
        return f"the host of Redis, '{place.host}', is not known"
    if isinstance(error, net.ConnectionRefusedError):
        return f"Redis at {place} refuses connections: is it running?"
    if isinstance(error, net.TimeoutError | Waited):
        return f"Redis at {place} did not accept a connection within {CONNECT_SECONDS:g}s"
    number = getattr(error, "osError", None)
    if place.path and number in (2, None):
        return f"there is no socket of a Redis at {place.path}"
    return f"Redis at {place} cannot be reached: {str(error) or type(error).__name__}"


def no_greeting(place: Place, protocol: Any) -> str:
    if protocol.foreign:
        said = protocol.foreign.decode("latin-1").splitlines()[0][:30]
        return f"what listens at {place} is not Redis: it said {said!r}"
    reason: Any = getattr(protocol.reason, "value", None)
    names = {base.__name__ for base in type(reason).__mro__}
    if place.tls:
        why = _tls_reason(reason) if "Error" in names and reason.args else ""
        why = why or (str(reason) if "VerificationError" in names else "")
        return f"no TLS with Redis at {place}" + (f": {why}" if why else "")
    hint = "is it Redis, and without TLS (else rediss://)?"
    return f"{place} does not answer as Redis does: {hint}"


def _tls_reason(error: Any) -> str:
    """`certificate verify failed` out of what OpenSSL says."""
    with suppress(Exception):
        return ", ".join(str(one[-1]) for one in error.args[0])
    return str(error)


def auth_failed(place: Place, text: str) -> str:
    if "without any password" in text:
        return f"Redis at {place} has no password, and one was given"
    who = f" for the user '{place.user}'" if place.user else ""
    if "WRONGPASS" in text or "invalid password" in text:
        return f"Redis at {place} refuses the password{who}"
    return f"Redis at {place} refuses to log in{who}: {text}"


def not_let_in(place: Place, text: str) -> str:
    if text.startswith("NOAUTH"):
        return (
            f"Redis at {place} needs a password: redis://:PASSWORD@…, "
            "or RASCAL_REDIS_PASSWORD in the environment"
        )
    return f"Redis at {place} refuses: {text}"


def authorities(path: str) -> Any:
    """Whom to trust: the certificates of a file, or the system's."""
    from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates

    if not path:
        return platformTrust()
    try:
        with open(path, "rb") as file:
            pem = file.read()
    except OSError as error:
        reason = error.strerror or error
        raise CoordinationError(f"the certificates in '{path}' cannot be read: {reason}") from error
    end = b"-----END CERTIFICATE-----"
    parts = [part + end for part in pem.split(end)[:-1]]
    if not parts:
        raise CoordinationError(f"'{path}' holds no certificate (PEM)")
    return trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])


def check_names(place: Place, protocol: Any) -> None:
    """Twisted lets a certificate pass that is trusted and has no names at all."""
    from cryptography import x509

    certificate = protocol.transport.getPeerCertificate().to_cryptography()
    try:
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        raise CoordinationError(
            f"no TLS with Redis at {place}: its certificate names no host (subjectAltName)"
        ) from None
