"""Why a request of the load client failed: one of the outcomes of `rascal.load.types`."""

from __future__ import annotations

import errno
import os
import ssl

from rascal.errors import LoadError, ProtocolError


class RequestFailed(LoadError):
    """A call got no usable reply. Raised by `user.get()` and the like.

    Args:
        outcome: one of `rascal.load.types.HARD`.
        detail: what happened, short; what the kernel or TLS said, where they said something.
    """

    def __init__(self, outcome: str, detail: str = "") -> None:
        super().__init__(f"{outcome}: {detail}" if detail else outcome)
        self.outcome = outcome
        self.detail = detail


class TruncatedError(LoadError):
    """The connection ended in the middle of a reply."""


class UnresolvedError(LoadError):
    """A host's name has no address."""


_OURS = {
    errno.EMFILE: "this machine allows this process no more sockets (ulimit -n)",
    errno.ENFILE: "this machine has no more sockets",
    errno.EADDRNOTAVAIL: "this machine has no free port left for another connection",
    errno.ENOBUFS: "this machine has no memory left for another connection",
}
_GONE = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN, errno.ESHUTDOWN)


def failure_of(error: BaseException) -> RequestFailed:
    """The error that user code sees for what went wrong below."""
    if isinstance(error, RequestFailed):
        return error
    outcome, detail = _classify(error)
    failed = RequestFailed(outcome, detail)
    failed.__cause__ = error
    return failed


def _classify(error: BaseException) -> tuple[str, str]:
    if isinstance(error, ssl.SSLError):  # an OSError too
        return "tls", tls_detail(error)
    if isinstance(error, TruncatedError):
        return "truncated", str(error)
    if isinstance(error, ProtocolError):
        return "malformed", error.detail
    if isinstance(error, TimeoutError):
        return "timeout", "the connection timed out"
    if isinstance(error, OSError):
        number = error.errno or 0
        if number in _GONE:
            return "reset", _said(error)
        if number == errno.ETIMEDOUT:
            return "timeout", _said(error)
        return "refused", _OURS.get(number) or _said(error)
    if isinstance(error, LoadError):  # not allowed to go there, or no address
        return "refused", str(error)
    return "malformed", f"{type(error).__name__}: {error}"


def _said(error: OSError) -> str:
    return (error.strerror or str(error) or os.strerror(error.errno or 0)).lower()


def tls_detail(error: ssl.SSLError) -> str:
    """What OpenSSL said, without its file names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "the connection ended within TLS"
    reason = getattr(error, "reason", "") or str(error)
    return str(reason).lower().replace("_", " ")
