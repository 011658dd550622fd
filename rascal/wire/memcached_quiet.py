r"""Quiet requests, and how the replies to them find them.

Quiet requests (`mg k q`, `ms k 2 q` …) are answered only if there is something to say: a miss of
`mg`, the success of `ms`, `md` and `ma` are left out. Whether they have been answered shows when a
later reply comes. So they stand in the books like any request, with a framing of their own, and a
reply that was left out is a message of no bytes, SILENT, which the reply codec hands out before
the reply that betrays it:

    mg a v q k     mg b v q k     mn          requests
    VA 1 kb        MN                         what the server says
    SILENT         VA 1 kb        MN          replies as the codec tells them

`MemcachedSession.quiet` remembers of each quiet request in the books what would be echoed (opaque
and key), so that a reply finds its request. It is bounded; beyond its bound, and for requests
that want no echo, the first quiet request that may be answered so is taken.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Hashable
from zlib import crc32

from rascal.wire.memcached_heads import DUMP, GET, KEYS, META, QUIET, STATS, RequestHead

QUIET_KEPT = 2048
"""Of so many quiet requests (or runs of equal ones) it is remembered what they would echo."""

COMPLAINTS = frozenset((b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR"))

_ECHO = 1 << 32
_LARGE = 1 << 33
_WRONG = 1 << 34
_VALUE = 1 << 35
UNKNOWN = -1
_NEWER = frozenset(b"ESix")
"""Flags that servers before 1.6.20 refuse."""
LARGE_BYTES = 1000
"""No value below it is ever too large: the least that -I takes is 1 KiB."""


def echo(opaque: bytes | None, key: bytes | None) -> int:
    """What a reply echoes of its request, as a number; 0: nothing."""
    if opaque is None and key is None:
        return 0
    return crc32((opaque or b"") + b" " + (key or b"")) | _ECHO


def plain(key: bytes | None, binary: bool) -> bytes | None:
    """A key as it is stored. Whether it comes back in base64 is up to who stored it."""
    if key is None or not binary:
        return key
    try:
        return a2b_base64(key)
    except Base64Error:
        return key


def mark_of(head: RequestHead) -> int:
    """What is remembered of a quiet request."""
    key = head.words[1] if head.flag(b"k") is not None else None
    mark = echo(head.flag(b"O"), plain(key, head.flag(b"b") is not None))
    if (head.size or 0) >= LARGE_BYTES:
        mark |= _LARGE
    if head.command != "MS" and head.flag(b"v") is not None:
        mark |= _VALUE
    doubtful = head.wrong or any(word[0] in _NEWER for word in head.flags())
    return mark | _WRONG if doubtful else mark


_SHOWN = {
    QUIET["MG"]: frozenset((b"VA", b"HD")),
    QUIET["MS"]: frozenset((b"NS", b"EX", b"NF")),
    QUIET["MD"]: frozenset((b"NF", b"EX")),
    QUIET["MA"]: frozenset((b"NF", b"EX", b"NS")),
}
"""What is not left out of the replies to quiet requests. Servers from 1.6.19 on leave out NF of
md and ma as well."""
_META_STATUSES = frozenset((b"VA", b"HD", b"EN", b"NF", b"NS", b"EX"))


def answers(framing: Hashable, mark: int, status: bytes, line: bytes) -> bool:
    """Whether this line may be the reply to a quiet request of that framing and mark.

    Errors are said to quiet requests too. Most of them are about the line itself, which is known
    beforehand (`wrong`), or about storing; what remains is taken for the first.
    """
    known = mark != UNKNOWN
    if status in _META_STATUSES:
        wanted = mark & (2 * _ECHO - 1)
        if known and wanted != _echoed(status, line):
            return False
        if known and status in (b"VA", b"HD") and (status == b"VA") != bool(mark & _VALUE):
            return False
        return bool(known and wanted) or status in _SHOWN[framing]  # type: ignore[index]
    if status == b"SERVER_ERROR":
        if b"too large" in line:
            return framing == QUIET["MS"] and (not known or bool(mark & _LARGE))
        return b"storing" not in line or framing == QUIET["MS"]
    if status == b"CLIENT_ERROR":
        if b"non-numeric" in line:
            return framing == QUIET["MA"]
        if b"bad data chunk" in line:
            return framing == QUIET["MS"]
        return not known or bool(mark & _WRONG)
    return False


def proves(mark: int) -> bool:
    """Whether a reply that fits this mark must be that request's: it echoes something."""
    return mark != UNKNOWN and bool(mark & _ECHO)


def _echoed(status: bytes, line: bytes) -> int:
    opaque = key = None
    words = line.split(b" ")[2 if status == b"VA" else 1 :]
    for word in words:
        if word[:1] == b"O":
            opaque = word
        elif word[:1] == b"k":
            key = word[1:]
    return echo(opaque, plain(key, b"b" in words))


_META_ONLY = frozenset((b"VA", b"HD", b"EN", b"NF", b"NS", b"EX", b"ME"))
_CLASSIC_ONLY = frozenset(
    b"VALUE END STORED NOT_STORED EXISTS NOT_FOUND DELETED TOUCHED STAT VERSION RESET".split()
)


def contradicts(framing: Hashable, status: bytes) -> bool:
    """Whether this status cannot answer a request of that framing (not `mn`)."""
    if status == b"MN":
        return True
    if framing == META:
        return status in _CLASSIC_ONLY or status.isdigit()
    if status in _META_ONLY:
        return framing != KEYS
    if framing == GET:
        return status not in (b"VALUE", b"END") and status not in COMPLAINTS
    return status == b"VALUE" or (status == b"END" and framing not in (STATS, DUMP))
