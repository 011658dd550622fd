"""Connects to the upstream: names looked up now, all addresses tried, one time-out for it all.

    dial ─► look up ─► connect to the first address ──► [PROXY header] ─► [TLS] ─► joined
                        └ 250 ms later, or when it fails: to the next as well; the first wins

Nothing blocks, and nothing is called before dial() has returned. A Twisted endpoint string that
says no more than an address is dialled the same way; any other goes through Twisted
(rascal.proxy.transports).
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import suppress
from typing import Any, Literal, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall, IResolutionReceiver
from twisted.logger import Logger
from zope.interface import implementer

from rascal.language import Address
from rascal.proxy.clock import Reactor
from rascal.proxy.ends import End
from rascal.proxy.hangups import Hangups
from rascal.proxy.listener import peer_text
from rascal.proxy.proxyprotocol import header
from rascal.proxy.tls import TlsEnd

log = Logger()

STAGGER = 0.25
"""Seconds after which the next address is tried as well (RFC 8305 section 5)."""
RETRY = 0.05
"""Seconds between attempts to a UNIX socket whose queue is full."""
EPHEMERAL = 32768

How = Literal["refused", "timeout", "unreachable", "unresolved", "tls"]
Target = tuple[socket.AddressFamily, Any]


class Wanting(Protocol):
    """Who wants an upstream (rascal.proxy.connection.Connection)."""

    client: Any

    def joined(self, upstream: Any) -> None:
        """Here it is, paused."""

    def dial_failed(self, how: How, detail: str) -> None:
        """It cannot be had."""


@attrs.frozen(kw_only=True)
class Originate:
    """TLS to the upstream: how, and the name that its certificate must have."""

    context: ssl.SSLContext
    name: str


class Dialler:
    """Knows how to reach one upstream.

    Args:
        reactor, hangups: what ends need.
        address: the upstream.
        timeout: seconds for all of it.
        proxy_protocol: off, v1 or v2.
        tls: None: plain.
    """

    def __init__(
        self,
        reactor: Reactor,
        hangups: Hangups,
        address: Address,
        *,
        timeout: float = 10.0,
        proxy_protocol: str = "off",
        tls: Originate | None = None,
    ) -> None:
        self.reactor = reactor
        self.hangups = hangups
        self.address = plain_address(address)
        self.timeout = timeout
        self.proxy_protocol = proxy_protocol
        self.tls = tls
        self.fixed = self._literal()

    def dial(self, wanting: Wanting) -> Dialling:
        """Begin; the outcome is told to `wanting`."""
        dialling = Dialling(self, wanting)
        dialling.begin()
        return dialling

    def _literal(self) -> tuple[Target, ...]:
        """The target, if nothing has to be looked up."""
        where = self.address
        if where.type == "unix":
            return ((socket.AF_UNIX, where.path),)
        if where.type != "tcp":
            return ()
        try:
            found = socket.getaddrinfo(
                where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except OSError:
            return ()
        return tuple((family, name) for family, _, _, _, name in found)


class Dialling:
    """One attempt to reach the upstream; `cancel()` gives everything back and tells nobody."""

    def __init__(self, dialler: Dialler, wanting: Wanting) -> None:
        self.dialler = dialler
        self.reactor = dialler.reactor
        self.wanting: Wanting | None = wanting
        self.targets: list[Target] = []
        self.attempts: set[_Attempt] = set()
        self.errors: list[tuple[int, str]] = []
        self.end: Any = None
        self.pending: Any = None  # a Deferred of Twisted's endpoints
        self._deadline: IDelayedCall | None = None
        self._next: IDelayedCall | None = None

    def begin(self) -> None:
        """Set the time-out, then look up or connect."""
        dialler = self.dialler
        self._deadline = self.reactor.callLater(dialler.timeout, self._expired)
        if dialler.fixed:
            self.targets = list(dialler.fixed)
            self._try_next()
        elif dialler.address.type == "endpoint":
            from rascal.proxy.transports import connect

            self._next = self.reactor.callLater(0, connect, dialler.address.path, self)
        else:
            resolver: Any = dialler.reactor
            resolver.nameResolver.resolveHostName(
                _Answers(self), dialler.address.host, dialler.address.port, transportSemantics="TCP"
            )

    def cancel(self) -> None:
        """It is not wanted any more."""
        self.wanting = None
        self._stop()
        if self.end is not None:
            end, self.end = self.end, None
            end.reset()

    # -- looking up --------------------------------------------------------------------------------
    def resolved(self, targets: list[Target]) -> None:
        """These are the addresses of the name."""
        if self.wanting is None:
            return
        if not targets:
            why = f"the name {self.dialler.address.host} does not resolve"
            self._next = self.reactor.callLater(0, self.failed, "unresolved", why)
            return
        self.targets = targets
        self._try_next()

    # -- connecting --------------------------------------------------------------------------------
    def _try_next(self) -> None:
        self._next = None
        family, name = self.targets.pop(0)
        try:
            self.attempts.add(_Attempt(self, family, name))
        except OSError as error:
            if error.errno == errno.EAGAIN and family == socket.AF_UNIX:  # its queue is full
                self.targets.append((family, name))
                self._next = self.reactor.callLater(RETRY, self._try_next)
            else:
                self._next = self.reactor.callLater(0, self._one_less, error.errno or 0)
            return
        if self.targets:
            self._next = self.reactor.callLater(STAGGER, self._try_next)

    def attempt_failed(self, attempt: _Attempt, code: int) -> None:
        """One address cannot be reached."""
        self.attempts.discard(attempt)
        self._one_less(code)

    def _one_less(self, code: int) -> None:
        self.errors.append((code, os.strerror(code).lower()))
        if self.targets:
            self._cancel_next()
            self._try_next()
        elif not self.attempts:
            how, detail = _verdict(self.errors)
            self.failed(how, detail)

    def connected(self, attempt: _Attempt) -> None:
        """The first that connects is it."""
        self.attempts.discard(attempt)
        sock = attempt.sock
        self._drop_attempts()
        dialler = self.dialler
        if attempt.family != socket.AF_UNIX:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = peer_text(attempt.name)
        self.established(End(self.reactor, dialler.hangups, sock, peer))

    def established(self, end: Any) -> None:
        """There is a connection: PROXY header, TLS, then hand it over."""
        if self.wanting is None:
            end.reset()
            return
        self.end = end
        dialler = self.dialler
        if dialler.proxy_protocol != "off":
            names = getattr(self.wanting.client, "names", None)
            version: Any = dialler.proxy_protocol
            end.write(header(version, names() if names is not None else None))
        if dialler.tls is None:
            self._hand_over()
            return
        try:
            self.end = TlsEnd(end, dialler.tls.context, dialler.tls.name)
        except (ValueError, ssl.SSLError) as error:
            self.failed("tls", str(error))
            return
        self.end.handshake(self._hand_over, lambda why: self.failed("tls", why))

    def _hand_over(self) -> None:
        wanting, self.wanting = self.wanting, None
        end, self.end = self.end, None
        self._stop()
        if wanting is not None:
            wanting.joined(end)

    # -- giving up ---------------------------------------------------------------------------------
    def failed(self, how: How, detail: str) -> None:
        """Tell why, once."""
        wanting, self.wanting = self.wanting, None
        self._stop()
        if self.end is not None:
            end, self.end = self.end, None
            end.reset() if how == "timeout" else end.close()
        if wanting is not None:
            wanting.dial_failed(how, f"{self.dialler.address}: {detail}")

    def _expired(self) -> None:
        self._deadline = None
        self.failed("timeout", f"no connection within {self.dialler.timeout:g} s")

    def _stop(self) -> None:
        self._cancel_next()
        pending, self.pending = self.pending, None
        if pending is not None and not pending.called:
            pending.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._drop_attempts()

    def _cancel_next(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _drop_attempts(self) -> None:
        self._cancel_next()
        for attempt in self.attempts:
            attempt.drop()
        self.attempts.clear()


class _Attempt:
    """A socket that is being connected: a writer of the reactor until it is known how it went."""

    __slots__ = ("dialling", "family", "name", "sock")

    def __init__(self, dialling: Dialling, family: socket.AddressFamily, name: Any) -> None:
        self.dialling = dialling
        self.family = family
        self.name = name
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        code = self.sock.connect_ex(name)
        if code not in (0, errno.EINPROGRESS):
            self.sock.close()
            raise OSError(code, os.strerror(code))
        dialling.reactor.addWriter(self)

    def doWrite(self) -> None:
        """It is connected, or has failed; or the event was meant for an earlier socket."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            try:
                self.sock.getpeername()
            except OSError:
                return
            if self._itself():
                code = errno.ECONNREFUSED
        self.dialling.reactor.removeWriter(self)
        if code:
            self.sock.close()
            self.dialling.attempt_failed(self, code)
        else:
            self.dialling.connected(self)

    def _itself(self) -> bool:
        """A port that nobody listens on can be given to the very socket that connects to it."""
        return (
            self.family != socket.AF_UNIX
            and self.name[1] >= EPHEMERAL
            and self.sock.getsockname()[:2] == self.name[:2]
        )

    def drop(self) -> None:
        """It is not wanted any more."""
        if self.sock.fileno() >= 0:
            self.dialling.reactor.removeWriter(self)
            self.sock.close()

    def fileno(self) -> int:
        return self.sock.fileno()

    def logPrefix(self) -> str:
        return f"dialling {self.dialling.dialler.address}"

    def connectionLost(self, reason: object) -> None:
        if self.sock.fileno() >= 0:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.dialling.reactor.removeWriter(self)
            self.sock.close()
            self.dialling.attempt_failed(self, code or errno.ECONNABORTED)


@implementer(IResolutionReceiver)
class _Answers:
    """Collects what the reactor's resolver finds."""

    def __init__(self, dialling: Dialling) -> None:
        self.dialling = dialling
        self.found: list[Target] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """It cannot be stopped."""

    def addressResolved(self, address: Any) -> None:
        v6 = address.type == "TCP" and ":" in address.host
        family = socket.AF_INET6 if v6 else socket.AF_INET
        name = (address.host, address.port, 0, 0) if v6 else (address.host, address.port)
        if (family, name) not in self.found:
            self.found.append((family, name))

    def resolutionComplete(self) -> None:
        self.dialling.resolved(self.found)


def _verdict(errors: list[tuple[int, str]]) -> tuple[How, str]:
    """What several failures amount to: a server that refuses says more than a missing route."""
    for how, codes in (
        ("refused", (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT, errno.ECONNABORTED)),
        ("timeout", (errno.ETIMEDOUT,)),
    ):
        for code, text in errors:
            if code in codes:
                return how, text  # type: ignore[return-value]
    return "unreachable", errors[-1][1]


def plain_address(address: Address) -> Address:
    """A Twisted endpoint string that says no more than an address, as that address."""
    if address.type != "endpoint":
        return address
    kind, *rest = address.path.replace("\\:", "\0").split(":")
    words = [word.replace("\0", ":") for word in rest]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    if kind == "tcp":
        given.update(zip(("host", "port"), plain, strict=False))
        if given.keys() == {"host", "port"} and given["port"].isdigit():
            return Address("tcp", given["host"], int(given["port"]))
    elif kind == "unix":
        given.update(zip(("path",), plain, strict=False))
        if given.keys() == {"path"}:
            return Address("unix", path=given["path"])
    return address
