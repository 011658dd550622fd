"""The arguments of client packets: handshake response, COM_CHANGE_USER, query attributes."""

from __future__ import annotations

from dataclasses import dataclass

from rascal.errors import ProtocolError
from rascal.wire.mysql_packets import (
    CONNECT_WITH_DB,
    LONG_PASSWORD,
    PLUGIN_AUTH_LENENC,
    PROTOCOL_41,
    QUERY_ATTRIBUTES,
    SECURE_CONNECTION,
    SSL,
    Capabilities,
    lenenc,
    lenenc_bytes,
    nul_bytes,
)

_WIDTHS = {
    0x01: 1,  # TINY
    0x02: 2,  # SHORT
    0x03: 4,  # LONG
    0x04: 4,  # FLOAT
    0x05: 8,  # DOUBLE
    0x06: 0,  # NULL
    0x08: 8,  # LONGLONG
    0x09: 4,  # INT24
    0x0D: 2,  # YEAR
    0xF4: 1,  # BOOL
}
_DATES = frozenset((0x07, 0x0A, 0x0B, 0x0C))
"""TIMESTAMP, DATE, TIME, DATETIME: one byte says how long they are."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client answers to the greeting. Without user_follows it is a request for TLS."""

    capabilities: Capabilities
    user: bytes = b""
    database: bytes = b""
    user_follows: bool = True


def handshake(payload: bytes) -> Handshake:
    """Read a HandshakeResponse41 or an SSLRequest. Raises ProtocolError."""
    if len(payload) < 4:
        raise ProtocolError("a handshake response of less than four bytes")
    flags = int.from_bytes(payload[:4], "little")
    if not flags & PROTOCOL_41:
        raise ProtocolError("the client speaks the protocol of before MySQL 4.1")
    if len(payload) < 32:
        raise ProtocolError("a handshake response that is too short")
    if not flags & LONG_PASSWORD:  # that bit says "MySQL": MariaDB puts its own flags behind
        flags |= int.from_bytes(payload[28:32], "little") << 32
    if len(payload) == 32:
        return Handshake(flags, user_follows=not flags & SSL)
    user, at = nul_bytes(payload, 32)
    if flags & PLUGIN_AUTH_LENENC:
        _, at = lenenc_bytes(payload, at)
    elif flags & SECURE_CONNECTION:
        at += 1 + (payload[at] if at < len(payload) else 0)
    else:
        _, at = nul_bytes(payload, at)
    database = nul_bytes(payload, at)[0] if flags & CONNECT_WITH_DB else b""
    return Handshake(flags, user, database)


def change_user(payload: bytes, flags: Capabilities) -> tuple[bytes, bytes]:
    """User and database of a COM_CHANGE_USER."""
    user, at = nul_bytes(payload, 1)
    if flags & SECURE_CONNECTION:
        at += 1 + (payload[at] if at < len(payload) else 0)
    else:
        _, at = nul_bytes(payload, at)
    return user, nul_bytes(payload, at)[0]


def behind_attributes(payload: bytes) -> int:
    """Where the SQL of a COM_QUERY with query attributes begins; 1 if that cannot be told.

    0x03, count, number of sets (1), and where count > 0: NULL bitmap, 0x01, for each a type (2)
    and a name, then the values in the binary protocol.
    Source: MySQL Internals, "COM_QUERY".
    """
    try:
        count, at = lenenc(payload, 1)
        _, at = lenenc(payload, at)
        if not count:
            return at
        bitmap = payload[at : at + (count + 7) // 8]
        at += len(bitmap) + 1
        types = []
        for _ in range(count):
            types.append(payload[at])
            _, at = lenenc_bytes(payload, at + 2)
        for number, kind in enumerate(types):
            if not bitmap[number >> 3] & 1 << (number & 7):
                at = _behind_value(payload, at, kind)
        return at
    except (IndexError, ProtocolError):
        return 1


def _behind_value(payload: bytes, at: int, kind: int) -> int:
    width = _WIDTHS.get(kind)
    if width is not None:
        return at + width
    if kind in _DATES:
        return at + 1 + payload[at]
    return lenenc_bytes(payload, at)[1]


def bound_types(payload: bytes, count: int, flags: Capabilities) -> tuple[int | None, bytes]:
    """The hash of the types that an execution binds, None if it binds none; and its values.

    0x17, id (4), flags (1), iterations (4), [count if flags & 8], NULL bitmap, new, [types].
    """
    at = 10
    if flags & QUERY_ATTRIBUTES and payload[5:6] and payload[5] & 8:
        try:
            count, at = lenenc(payload, at)
        except ProtocolError:
            return None, payload[10:]
    if not count:
        return None, b""
    at += (count + 7) // 8
    if payload[at : at + 1] != b"\1":
        return None, payload[10:at] + payload[at + 1 :]
    # Names may stand between the types: the whole of it is what must be the same.
    named = flags & QUERY_ATTRIBUTES and payload[5] & 8
    end = len(payload) if named else at + 1 + 2 * count
    return hash(payload[at + 1 : end]), payload[10:at] + payload[end:]
