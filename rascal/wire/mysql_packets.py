"""MySQL packets: what the two codecs share, and the small encodings inside.

    length (3 bytes, little endian)  sequence id (1 byte)  payload

A payload of 2^24 - 1 bytes is continued by the next packet. Sequence ids count within one
exchange, over both directions, and wrap around.

Source: MySQL Internals, "MySQL Packets" and "Basic Data Types"; MariaDB Knowledge Base,
"0-packet" and "protocol-data-types".
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from struct import Struct
from typing import Any, Literal

from rascal.errors import ProtocolError
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Piece

FULL = 0xFFFFFF
"""A payload of this length is continued by the next packet."""
WORD = Struct("<I")
"""A packet's header in one number: the length, and above it the sequence id."""
SHORT = Struct("<H")

Capabilities = int
LONG_PASSWORD = 1
CONNECT_WITH_DB = 1 << 3
COMPRESS = 1 << 5
PROTOCOL_41 = 1 << 9
SSL = 1 << 11
SECURE_CONNECTION = 1 << 15
PLUGIN_AUTH = 1 << 19
PLUGIN_AUTH_LENENC = 1 << 21
SESSION_TRACK = 1 << 23
DEPRECATE_EOF = 1 << 24
OPTIONAL_METADATA = 1 << 25
ZSTD = 1 << 26
QUERY_ATTRIBUTES = 1 << 27
CACHE_METADATA = 1 << 36
"""MariaDB's own flags follow from bit 32 on."""

IN_TRANSACTION = 0x0001
MORE_RESULTS = 0x0008
CURSOR_EXISTS = 0x0040
LAST_ROW_SENT = 0x0080
STATE_CHANGED = 0x4000

NOTHING = memoryview(b"")


class PacketCodec(Codec):
    """Keeps the place between packets, and bytes until a packet can be understood.

    Attributes:
        need: bytes without which the packet at hand tells nothing.
        left: bytes of the packet under way that have not come.
        more: that packet is a full one; another continues it.
        last: its message ends with it.
        seq: the sequence id of the next packet.
        open: a message is under way.
    """

    def __init__(self) -> None:
        self.kept = bytearray()
        self.view: Any = NOTHING
        self.at = 0
        self.need = 0
        self.left = 0
        self.more = False
        self.last = False
        self.seq = 0
        self.open = False

    def undecided(self) -> bytes:
        return bytes(self.kept) + bytes(self.view[self.at :])

    def under_way(self) -> Literal["", "message", "aside"]:
        return "message" if self.open else ""

    def feed(self, data: Buffer) -> Iterator[Piece]:
        kept = self.kept
        if kept:
            kept += data
            if len(kept) < self.need:
                return
            data = bytes(kept)
            kept.clear()
        view = self.view = memoryview(data)
        self.at = 0
        size = len(view)
        try:
            while self.at < size:
                piece = self._next(view, size)
                if piece is None:
                    break
                yield piece
        finally:
            if self.at < size:
                kept += view[self.at :]
            self.view = NOTHING
            self.at = 0

    def _next(self, view: Any, size: int) -> Piece | None:
        at = self.at
        if self.left:
            n = min(self.left, size - at)
            self.left -= n
            self.at = at + n
            return Piece(view[at : at + n], None, False, self._over(), self.seq)
        if size - at < 4:
            self.need = 4
            return None
        word: int = WORD.unpack_from(view, at)[0]
        length, seq = word & FULL, word >> 24
        if not self.more:
            return self._packet(view, at, size, length, seq)
        self._expect(seq)
        self.more = length == FULL
        return self._piece(view, at, size, length, seq)

    def _expect(self, seq: int) -> None:
        if seq != self.seq:
            raise ProtocolError(f"sequence id {seq} where {self.seq} was due")
        self.seq = (seq + 1) & 255

    def _over(self) -> bool:
        """Whether the message ends with what has been taken."""
        if self.left or self.more or not self.last:
            return False
        self.open = False
        return True

    def _piece(
        self, view: Any, at: int, size: int, length: int, seq: int, part: bool = False
    ) -> Piece:
        """The bytes at hand of a packet that has been understood."""
        end = at + 4 + length
        if end > size:
            self.left = end - size
            end = size
        self.at = end
        return Piece(view[at:end], None, part, self._over(), seq)

    @abstractmethod
    def _packet(self, view: Any, at: int, size: int, length: int, seq: int) -> Piece | None:
        """Understand the packet whose header stands at `at`, or say what is needed (None)."""

    def _peek(self, view: Any, at: int, size: int, length: int, most: int = HEAD_BYTES) -> Any:
        """The first `most` bytes of its payload; None (and `need`) while they are not there."""
        wanted = min(length, most)
        if size - at < 4 + wanted:
            self.need = 4 + wanted
            return None
        return bytes(view[at + 4 : at + 4 + wanted])


def packet(seq: int, payload: bytes) -> bytes:
    """A payload as one packet, or several where it is long."""
    whole = b""
    while len(payload) >= FULL:
        whole += WORD.pack(FULL | (seq & 255) << 24) + payload[:FULL]
        payload = payload[FULL:]
        seq += 1
    return whole + WORD.pack(len(payload) | (seq & 255) << 24) + payload


def lenenc(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer and what stands behind it. Raises ProtocolError."""
    try:
        first = data[at]
        if first < 0xFB:
            return first, at + 1
        width = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    except (IndexError, KeyError):
        raise ProtocolError("a length that is none") from None
    end = at + 1 + width
    if end > len(data):
        raise ProtocolError("a length is cut off")
    return int.from_bytes(data[at + 1 : end], "little"), end


def lenenc_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """A length-encoded string and what stands behind it. Raises ProtocolError."""
    length, at = lenenc(data, at)
    if at + length > len(data):
        raise ProtocolError("a string is cut off")
    return data[at : at + length], at + length


def nul_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """A string that ends with a zero, or with the data."""
    end = data.find(b"\0", at)
    return (data[at:], len(data)) if end < 0 else (data[at:end], end + 1)


def as_lenenc(value: int) -> bytes:
    """A number, length-encoded."""
    if value < 0xFB:
        return bytes((value,))
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def as_string(data: bytes) -> bytes:
    """A string, length-encoded."""
    return as_lenenc(len(data)) + data


def text(data: bytes) -> str:
    """As people write it; bytes that are not UTF-8 survive as surrogates."""
    return data.decode("utf-8", "surrogateescape")
