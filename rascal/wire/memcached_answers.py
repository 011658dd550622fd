"""Replies that the proxy makes itself: errors, misses, and replaced values.

Each is what memcached would say to this very line: with the flags that a meta command asks for,
and with the silence that a quiet one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rascal.wire.memcached_errors import META_STATUS, REMOVES
from rascal.wire.memcached_heads import DUMP, GET, KEYS, META, NOOP, STATS, RequestHead
from rascal.wire.memcached_lines import KEY_BYTES
from rascal.wire.memcached_session import MemcachedSession
from rascal.wire.types import Answer, ErrorCall, Head

CAS = b"1"
"""The cas unique of an item that is not there."""
_PREFIXED = re.compile(r"(?:CLIENT_ERROR|SERVER_ERROR|ERROR)(?= |$)")


# -- the flags of a meta reply ----------------------------------------


def echoed(head: RequestHead) -> list[bytes]:
    """Opaque and key as a meta command wants them back, in its order."""
    binary = head.flag(b"b") is not None
    words: list[bytes] = []
    for word in head.flags():
        if word[:1] == b"O":
            words.append(word)
        elif word[:1] == b"k":
            words.append(b"k" + head.words[1])
            words += [b"b"] if binary else []
    return words


def described(head: RequestHead, length: int, flags: int, fresh: bool = False) -> list[bytes]:
    """All flags that `mg` wants back; fresh: the item has just been made by the flag N."""
    values = {
        b"s": b"s%d" % length,
        b"t": b"t-1",
        b"c": b"c" + CAS,
        b"f": b"f%d" % flags,
        b"l": b"l0",
        b"h": b"h0" if fresh else b"h1",
    }
    binary = head.flag(b"b") is not None
    words: list[bytes] = []
    for word in head.flags():
        letter = word[:1]
        if letter == b"O":
            words.append(word)
        elif letter == b"k":
            words.append(b"k" + head.words[1])
            words += [b"b"] if binary else []
        elif letter in (b"N", b"T") and (fresh or letter == b"T"):
            values[b"t"] = b"t" + word[1:]
        elif letter in values:
            words.append(values[letter])
    return [*words, b"W"] if fresh else words


def line(status: bytes, words: Iterable[bytes] = ()) -> bytes:
    return b" ".join((status, *words)) + b"\r\n"


def _stored(head: RequestHead) -> list[bytes]:
    """What `ms` wants back."""
    cas = b"c" + CAS
    words = echoed(head)
    place = 0
    for word in head.flags():
        if word[:1] == b"c":
            words.insert(place, cas)
            break
        place += word[:1] in (b"O", b"k")
    return words


def item(head: RequestHead, data: bytes, flags: int, fresh: bool = False) -> bytes:
    """A hit of `mg`."""
    words = described(head, len(data), flags, fresh)
    if head.flag(b"v") is None:
        return line(b"HD", words)
    return line(b"VA", (b"%d" % len(data), *words)) + data + b"\r\n"


# -- errors ----------------------------------------


def error_answer(session: MemcachedSession, head: Head, call: ErrorCall) -> Answer:
    """An error; and what the server would have done besides."""
    spec = call.spec
    upstream: tuple[tuple[Head, bytes], ...] = ()
    if isinstance(head, RequestHead) and not head.sent:
        if spec.name in REMOVES and call.text is None:
            upstream = _removal(head)
        if not upstream and session.quiet:
            upstream = (settling(),)
    return Answer(_error_line(head, call), upstream, spec.closes)


def settling() -> tuple[Head, bytes]:
    """What makes the server answer all quiet requests before it: their silence has no other end."""
    return RequestHead("MN", framing=NOOP, asked=False), b"mn\r\n"


def _removal(head: RequestHead) -> tuple[tuple[Head, bytes], ...]:
    if head.command not in ("SET", "MS") or len(head.words[1]) > KEY_BYTES:
        return ()
    key = head.words[1]
    if head.command == "MS" and head.flag(b"b") is not None:
        return ((RequestHead("MD", framing=META, asked=False), b"md %b b\r\n" % key),)
    return ((RequestHead("DELETE", asked=False), b"delete %b\r\n" % key),)


def _error_line(head: Head, call: ErrorCall) -> bytes:
    spec = call.spec
    meta = isinstance(head, RequestHead) and head.command in ("MG", "MS", "MD", "MA")
    if call.text is None and meta and spec.name in META_STATUS:
        assert isinstance(head, RequestHead)
        status = META_STATUS[spec.name]
        if status == b"HD":
            return b"" if head.quiet else line(status, _stored(head))
        words = echoed(head)
        if head.command == "MS" and head.flag(b"c") is not None:
            words = [b"c0" if word == b"c" + CAS else word for word in _stored(head)]
        return line(status, words)
    words_said = spec.text if call.text is None else _own_words(spec.text, call.text)
    return re.sub(r"[\r\n]", " ", words_said).encode("utf-8", "surrogateescape") + b"\r\n"


def _own_words(catalogue: str, given: str) -> str:
    """A text of the user's behind the prefix that this error has."""
    prefix = _PREFIXED.match(catalogue)
    if prefix is None or _PREFIXED.match(given):
        return given
    return f"{prefix[0]} {given}"


def terminated(head: Head, call: ErrorCall | None) -> bytes | None:
    """The end of a reply of several items."""
    if not isinstance(head, RequestHead) or head.framing not in (GET, STATS, DUMP, KEYS):
        return None
    if call is not None:
        return _error_line(head, call)
    return b"EN\r\n" if head.framing == KEYS else b"END\r\n"


# -- nothing found ----------------------------------------


def empty_reply(head: RequestHead) -> bytes | None:
    """What the server says when the item is not there."""
    if not head.replies or head.wrong:
        return None
    command = head.command
    if head.framing == GET:
        return b"END\r\n"
    if command == "MG":
        return _miss(head)
    if command == "ME":
        return b"EN\r\n"
    if command in ("CAS", "DELETE", "INCR", "DECR", "TOUCH"):
        return b"NOT_FOUND\r\n"
    if command in ("REPLACE", "APPEND", "PREPEND"):
        return b"NOT_STORED\r\n"
    if command == "MD" or (command == "MA" and head.flag(b"N") is None):
        return line(b"NF", echoed(head))
    if command == "MS":
        mode = head.flag(b"M")
        conditional = mode in (b"MA", b"MP", b"MR")
        cas = head.flag(b"C") is not None and mode not in (b"ME", b"MA", b"MP")
        if conditional or cas:
            words = [b"c0" if word == b"c" + CAS else word for word in _stored(head)]
            return line(b"NF" if cas else b"NS", words)
    return None


def _miss(head: RequestHead) -> bytes:
    if head.flag(b"N") is not None:  # an empty item is made, and who asked is to fill it
        return item(head, b"", 0, fresh=True)
    return b"" if head.quiet else line(b"EN", echoed(head))


# -- other values ----------------------------------------


def replaced(head: RequestHead, given: str, flags: int) -> bytes | None:
    """A value in the shape of the command's reply; None: it has no such shape."""
    data = given.encode("utf-8", "surrogateescape")
    command = head.command
    if not head.replies or head.wrong or not head.whole:
        return None
    if head.framing == GET:
        unique = b" " + CAS if command in ("GETS", "GATS") else b""
        values = (
            b"VALUE %b %d %d%b\r\n%b\r\n" % (key, flags, len(data), unique, data)
            for key in head.named()
        )
        return b"".join(values) + b"END\r\n"
    if command == "MG":
        return item(head, data, flags)
    if command in ("INCR", "DECR", "MA"):
        if not re.fullmatch(r"\d{1,20}", given):
            return None
        return _number(head, data) if command == "MA" else data + b"\r\n"
    if head.framing is not None and head.framing != META and not head.quiet:
        return None
    return None if not data or re.search(rb"[\x00-\x1f]", data) else data + b"\r\n"


def _number(head: RequestHead, data: bytes) -> bytes:
    if head.quiet:
        return b""
    wanted = (b"O", b"k", b"b", b"t", b"c", b"N", b"T")
    words = [word for word in described(head, len(data), 0) if word[:1] in wanted]
    if head.flag(b"v") is None:
        return line(b"HD", words)
    return line(b"VA", (b"%d" % len(data), *words)) + data + b"\r\n"


def rerendered(head: RequestHead, kept: bytes) -> bytes | None:
    """A reply to the same question, with the opaque of this one."""
    if head.command != "MG":
        return kept
    if not kept:
        return b"" if head.quiet else _miss(head)
    first, end, rest = kept.partition(b"\r\n")
    words = first.split(b" ")
    if head.quiet and words[0] == b"EN":
        return b""
    opaque = head.flag(b"O")
    start = 2 if words[0] == b"VA" else 1
    for place in range(start, len(words)):
        if words[place][:1] == b"O" and opaque is not None:
            words[place] = opaque
    return b" ".join(words) + end + rest
