"""A client that says exactly what a test wants, and shows the packets that come back."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from rascal.wire import mysql_packets as wire

PATIENCE = 15.0
BASE = (
    wire.LONG_PASSWORD
    | wire.PROTOCOL_41
    | wire.SECURE_CONNECTION
    | wire.PLUGIN_AUTH
    | 1 << 13  # transactions
    | 1 << 16  # multi statements
    | 1 << 17  # multi results
    | 1 << 18  # multi results of prepared statements
)


@dataclass(frozen=True)
class Packet:
    seq: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of an ERR."""
        assert self.payload[:1] == b"\xff", self.payload
        return int.from_bytes(self.payload[1:3], "little")


class Wire:
    """A connection of the user `plain`, who has no password."""

    def __init__(
        self, port: int, flags: int = 0, *, user: str = "plain", database: str = "shop"
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.file = self.socket.makefile("rb")
        self.log: list[tuple[str, bytes]] = []
        """What was said, message by message: way and bytes."""
        self.greeting = self.packet()
        self.flags = BASE | flags | wire.CONNECT_WITH_DB
        if self.greeting.payload[:1] == b"\xff":
            return
        own = 0
        if self.flags >> 32:
            self.flags &= ~wire.LONG_PASSWORD
            own = self.flags >> 32
        head = struct.pack("<IIB", self.flags & 0xFFFFFFFF, 1 << 24, 45) + bytes(19)
        head += struct.pack("<I", own)
        names = user.encode() + b"\0\0" + database.encode() + b"\0mysql_native_password\0"
        self.raw(wire.packet(1, head + names))
        self.logged_in = self.packet()
        while self.logged_in.payload[:1] == b"\xfe":  # another plugin: no password either
            self.raw(wire.packet(self.logged_in.seq + 1, b""))
            self.logged_in = self.packet()

    def raw(self, data: bytes) -> None:
        self.log.append(("up", data))
        self.socket.sendall(data)

    def packet(self) -> Packet:
        head = self.file.read(4)
        if len(head) < 4:
            raise EOFError
        body = self.file.read(int.from_bytes(head[:3], "little"))
        self.log.append(("down", head + body))
        return Packet(head[3], body)

    def send(self, code: int, payload: bytes = b"") -> None:
        self.raw(wire.packet(0, bytes((code,)) + payload))

    def start(self, sql: str) -> None:
        attributes = b"\0\1" if self.flags & wire.QUERY_ATTRIBUTES else b""
        self.send(3, attributes + sql.encode())

    def query(self, sql: str) -> Packet:
        """A statement that is answered by OK or ERR; a result set is read over."""
        self.start(sql)
        return self.result()

    def result(self) -> Packet:
        """Read one reply to its end; its first packet, or the error that ended it."""
        first = packet = self.packet()
        if first.payload[:1] in (b"\0", b"\xff", b"\xfb"):
            return first
        ends = 0
        while True:
            packet = self.packet()
            if packet.payload[:1] == b"\xff":
                return packet
            if packet.payload[:1] == b"\xfe" and len(packet.payload) < 200:
                ends += 1
                if ends == (1 if self.flags & wire.DEPRECATE_EOF else 2):
                    return first

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def usable(self) -> bool:
        """Whether the connection still answers: closed ones do not."""
        try:
            self.send(0x0E)
            return self.packet().payload[:1] == b"\0"
        except (EOFError, OSError):
            return False
