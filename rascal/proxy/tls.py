"""TLS on a leg: an end that encrypts what it writes to another end and decrypts what that reads.

    relay ⇄ TlsEnd ⇄ ssl.SSLObject over memory buffers ⇄ End ⇄ socket

A TlsEnd has the interface of an End. Half-close is kept: `shut` is close_notify and FIN, either
of the two is the peer's end of file, and the other direction goes on. It is used both to speak
TLS to an upstream (`client_context`) and to clients (`server_context`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rascal.errors import RascalError
from rascal.proxy.ends import NOBODY, End, Owner, ignore_data, ignore_eof

log = Logger()

PLAIN = bytearray(256 * 1024)
"""What was decrypted, for all ends of the process: handed on before the next read."""
PLAIN_VIEW = memoryview(PLAIN)


class TlsError(RascalError):
    """Certificates or keys that cannot be used; one line."""


def client_context(
    *,
    ca: str | None = None,
    verify: bool = True,
    certificate: str | None = None,
    key: str | None = None,
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    """How to speak TLS to an upstream.

    Args:
        ca: file of the authorities to trust; None: the system's.
        verify: check the certificate and its name.
        certificate, key: files of our own certificate, if the upstream wants one.
        alpn: the protocols to offer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as error:
            raise TlsError(f"{ca}: {_why(error)}") from error
    if certificate is not None:
        _load(context, certificate, key)
    return _common(context, alpn)


def server_context(certificate: str, key: str | None, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """How to speak TLS to clients, with the certificate and key of these files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, certificate, key)
    return _common(context, alpn)


def _common(context: ssl.SSLContext, alpn: Sequence[str]) -> ssl.SSLContext:
    context.options |= ssl.OP_NO_RENEGOTIATION
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    def no_password() -> str:
        raise TlsError(f"{key or certificate}: the key is protected by a password")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except OSError as error:
        both = certificate if key is None else f"{certificate}, {key}"
        raise TlsError(f"{both}: {_why(error)}") from error


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return (error.strerror or str(error)).lower()


class TlsEnd:
    """A leg with TLS. Call `handshake()` first, then use it as an End; it starts paused.

    Args:
        raw: the end below; it is this one's alone.
        context: how to speak.
        name: the name that the peer's certificate must have (client side); None: server side.
    """

    __slots__ = (
        "__weakref__",
        "_done",
        "_eof",
        "_failed",
        "_in",
        "_kept",
        "_out",
        "_over",
        "_paused",
        "_timer",
        "_tls",
        "_told_eof",
        "fin",
        "on_data",
        "on_eof",
        "owner",
        "raw",
    )

    def __init__(self, raw: End, context: ssl.SSLContext, name: str | None = None) -> None:
        self.raw = raw
        self.fin = False
        self.on_data: Callable[[memoryview], None] = ignore_data
        self.on_eof: Callable[[], None] = ignore_eof
        self.owner: Owner = NOBODY
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._in, self._out, server_side=name is None, server_hostname=name
        )
        self._done: Callable[[], None] | None = None
        self._failed: Callable[[str], None] | None = None
        self._paused = True
        self._eof = self._told_eof = self._over = False
        self._kept = bytearray()
        self._timer: IDelayedCall | None = None
        raw.owner = self
        raw.on_data = self._arrived
        raw.on_eof = self._raw_eof

    # -- the interface of an End -------------------------------------------------------------------
    @property
    def rest(self) -> int:
        """Bytes that are encrypted and not yet the kernel's."""
        return self.raw.rest

    @property
    def taken(self) -> int:
        """Bytes read, as they came over the wire."""
        return self.raw.taken

    @property
    def sent(self) -> int:
        """Bytes that the kernel took, as they go over the wire."""
        return self.raw.sent

    @property
    def closed(self) -> bool:
        """close() or reset() was called, or it is over both ways."""
        return self._over or (self.raw.closed and self._told_eof)

    @property
    def peer(self) -> str:
        """The address of the other side."""
        return self.raw.peer

    def names(self) -> tuple[Any, Any] | None:
        """The socket addresses of the peer and of our side."""
        return self.raw.names()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self.fin or not len(data):
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._later(partial(self._break, _why(error)))
            return
        self._flush()

    def pause(self) -> None:
        """Deliver nothing; hang-ups are still told."""
        self._paused = True
        self.raw.pause()

    def resume(self) -> None:
        """Deliver, also what was decrypted or read before."""
        if not self._paused:
            return
        self._paused = False
        self.raw.resume()
        if self._kept or self._in.pending or self._tls.pending() or self._eof:
            self._later(self._deliver)

    def shut(self) -> None:
        """close_notify and FIN behind the rest."""
        if self.fin:
            return
        with suppress(ssl.SSLError):  # what has come and was not wanted yet would be in the way
            while data := self._tls.read(65536):
                self._kept += data
        self._notify()
        self.raw.shut()

    def close(self) -> None:
        """close_notify and FIN behind the rest; nothing more is delivered."""
        if self._over:
            return
        if not self.fin:
            self._notify()
        self._forget()
        self.raw.close()

    def reset(self) -> None:
        """RST now."""
        self._forget()
        self.raw.reset()

    # -- handshake ---------------------------------------------------------------------------------
    def handshake(self, done: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Shake hands, then call one of these; `failed` with the reason, the end is closed."""
        self._done, self._failed = done, failed
        self.raw.resume()
        self._shake()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._break(_why(error))
            return
        self._flush()
        done, self._done, self._failed = self._done, None, None
        self.raw.pause()  # what came with the handshake is delivered by resume()
        if done is not None:
            done()

    # -- from the end below ------------------------------------------------------------------------
    def _arrived(self, view: memoryview) -> None:
        self._in.write(view)
        if self._done is not None:
            self._shake()
        else:
            self._deliver()

    def _raw_eof(self) -> None:
        # OpenSSL is not told: it would count as an error and end the other direction too.
        self._eof = True
        if self._done is not None:
            self._break("the connection was closed during the TLS handshake")
        else:
            self._deliver()

    def hangup(self, end: End) -> None:
        """The end below saw a hang-up."""
        if self._failed is not None:
            self._break("the connection was closed during the TLS handshake")
        else:
            self.owner.hangup(self)

    def lost(self, end: End) -> None:
        """The end below was reset."""
        failed, owner = self._failed, self.owner
        self._forget()
        if failed is not None:
            failed("the connection was reset during the TLS handshake")
        else:
            owner.lost(self)

    def drained(self, end: End) -> None:
        """The end below has sent its rest."""
        self.owner.drained(self)

    # -- records -----------------------------------------------------------------------------------
    def _deliver(self) -> None:
        """Hand on what can be decrypted, as long as it is wanted; then the end of file."""
        while not (self._paused or self._over):
            if self._kept:
                kept, self._kept = self._kept, bytearray()
                self.on_data(memoryview(kept))
                continue
            try:
                count = self._decrypt()
            except ssl.SSLError as error:
                self._break(_why(error))
                return
            self._flush()
            if count:
                self.on_data(PLAIN_VIEW[:count])
                continue
            if self._eof and not self._told_eof:
                self._told_eof = True
                self.on_eof()
            return

    def _decrypt(self) -> int:
        """Fill the buffer; how far. Notes the peer's close_notify."""
        count = 0
        with suppress(ssl.SSLWantReadError):
            while count < len(PLAIN):
                try:
                    # With a buffer it returns a count.
                    got = cast(int, self._tls.read(len(PLAIN) - count, PLAIN_VIEW[count:]))
                except ssl.SSLZeroReturnError:
                    got = 0
                if not got:
                    self._eof = True
                    break
                count += got
        return count

    def _flush(self) -> None:
        if self._out.pending:
            self.raw.write(self._out.read())

    def _notify(self) -> None:
        """Send close_notify."""
        self.fin = True
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    # -- the end of it -----------------------------------------------------------------------------
    def _later(self, what: Callable[[], None]) -> None:
        if self._timer is None:

            def now() -> None:
                self._timer = None
                try:
                    what()
                except Exception:
                    log.failure("the data path failed at {peer}", peer=self.peer)
                    self._break("")

            self._timer = self.raw.reactor.callLater(0, now)

    def _break(self, why: str) -> None:
        """The records make no sense, or the certificate is not good."""
        failed, owner, over = self._failed, self.owner, self._over
        self._forget()
        self._flush()  # the alert
        if failed is not None:
            self.raw.close()
            failed(why)
        elif not over:
            log.warn("TLS with {peer} is broken: {why}", peer=self.peer, why=why)
            self.raw.reset()
            owner.lost(self)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.fin = self._over = True
        self.owner = NOBODY
        self.on_data, self.on_eof = ignore_data, ignore_eof
        self._done = self._failed = None
        self._kept.clear()
        self.raw.owner = NOBODY
        self.raw.on_data, self.raw.on_eof = ignore_data, ignore_eof
