"""MySQL as the world speaks it: greeting, log-in, OK, errors, rows, several results, statements.

packet: length (3, little-endian)  sequence id (1)  payload
"""

from __future__ import annotations

import random
from collections import deque

from tests.simulation.models import Model, Reply, Request, Violation

LONG_PASSWORD, WITH_DB, PROTOCOL_41, TRANSACTIONS = 0x1, 0x8, 0x200, 0x2000
SECURE, MULTI, PLUGIN, NO_EOF = 0x8000, 0x70000, 0x80000, 0x1000000
MORE = 8
QUERY, PING, INIT_DB, PREPARE, EXECUTE, CLOSE = 3, 14, 2, 0x16, 0x17, 0x19


def packet(seq: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((seq & 255,)) + payload


def lenenc(data: bytes) -> bytes:
    size = len(data)
    return (bytes((size,)) if size < 251 else b"\xfc" + size.to_bytes(2, "little")) + data


class Answer:
    """A reply in the making: packets with running sequence ids, and where rows begin."""

    def __init__(self, seq: int, no_eof: bool) -> None:
        self.seq, self.no_eof = seq, no_eof
        self.data = b""
        self.parts: list[int] = []

    def add(self, payload: bytes, part: bool = False) -> None:
        if part:
            self.parts.append(len(self.data))
        self.data += packet(self.seq, payload)
        self.seq += 1

    def ok(self, text: bytes, status: int = 2, header: bytes = b"\0") -> None:
        self.add(header + b"\0\0" + status.to_bytes(2, "little") + b"\0\0" + text)

    def eof(self, status: int = 2) -> None:
        self.add(b"\xfe\0\0" + status.to_bytes(2, "little"))

    def error(self, text: bytes) -> None:
        self.add(b"\xff\x28\x04#42000" + text)

    def column(self, name: bytes) -> None:
        rest = b"\x0c\x21\0\0\1\0\0\xfd\0\0\0\0\0"
        self.add(b"\3def" + b"\0" * 3 + lenenc(name) + lenenc(name) + rest)

    def rows(self, rows: list[bytes], status: int = 2, columns: int = 1) -> None:
        self.add(bytes((columns,)))
        for n in range(columns):
            self.column(b"c%d" % n)
        if not self.no_eof:
            self.eof(status)
        for row in rows:
            self.add(row, True)
        if self.no_eof:
            self.ok(b"", status, b"\xfe")
        else:
            self.eof(status)


class MySQLModel(Model):
    name = "mysql"
    greets = True

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.pipelines = rng.random() < 0.3
        self.no_eof = rng.random() < 0.5
        self.statements = 0
        self.waiting: deque[str] = deque(["greeting"])
        self.seq = -1
        self.state = ""
        self.todo = 0

    # -- the client --------------------------------------------------------------------------------
    def greeting(self) -> list[Reply]:
        low = LONG_PASSWORD | WITH_DB | PROTOCOL_41 | TRANSACTIONS | SECURE
        high = (MULTI | PLUGIN | NO_EOF) >> 16
        return [
            Reply(
                packet(
                    0,
                    b"\x0a8.0.36-sim\0\7\0\0\0salt-one\0"
                    + low.to_bytes(2, "little")
                    + b"\x21\2\0"
                    + high.to_bytes(2, "little")
                    + b"\x15"
                    + b"\0" * 10
                    + b"salt-two-too\0mysql_native_password\0",
                )
            )
        ]

    def make(self, number: int) -> Request:
        r = self.rng
        tag = b" /* k%d t%d */" % (r.randrange(4), number)
        if number == 0:
            self.waiting.append("login")
            return Request(self._login(), "LOGIN", False, 1)
        k = r.random()
        kind, name, replies = "query", "QUERY", True
        if k < 0.4:
            body = b"\3SELECT x" + tag + self.pad()
        elif k < 0.65:
            word = r.choice((b"INSERT INTO", b"UPDATE", b"COMMIT", b"BEGIN", b"DELETE FROM"))
            body = b"\3" + word + tag + self.pad(9000)
        elif k < 0.75:
            body = b"\3CALL several" + tag
        elif k < 0.8:
            body, name = b"\2db%d" % number, "INIT_DB"
        elif k < 0.9 or not self.statements:
            body, name, kind = b"\x16SELECT p" + tag, "STMT_PREPARE", "prepare"
            self.statements += 1
        elif k < 0.97:
            which = r.randrange(self.statements) + 1
            body = b"\x17" + which.to_bytes(4, "little") + b"\0\1\0\0\0" + tag
            name = "STMT_EXECUTE"
        else:
            body, name, replies = b"\x19" + number.to_bytes(4, "little"), "STMT_CLOSE", False
        if replies:
            self.waiting.append(kind)
        return Request(packet(0, body), name, replies=replies)

    def _login(self) -> bytes:
        flags = LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE | MULTI | PLUGIN
        flags |= NO_EOF if self.no_eof else 0
        body = flags.to_bytes(4, "little") + b"\0\0\0\1\x21" + b"\0" * 23
        return packet(1, body + b"root\0\x14" + b"h" * 20 + b"mysql_native_password\0")

    def ready(self) -> bool:
        return self.messages > (1 if self.requests else 0)

    def idle(self) -> bool:
        """Every reply that is due has been read to its end."""
        return not self.waiting

    # -- the server --------------------------------------------------------------------------------
    def split(self, buffer: bytearray) -> int:
        size = 4 + int.from_bytes(buffer[:3], "little")
        return size if len(buffer) >= size else 0

    def answer(self, raw: bytes) -> list[Reply]:
        r, command = self.rng, raw[4] if len(raw) > 4 else 0  # a limit or a cut may empty it
        if raw[3] == 1:
            found = Answer(2, self.no_eof)
            found.ok(b"")
            return [Reply(found.data)]
        found, mark = Answer(1, self.no_eof), b"%d" % self.serial
        if command == CLOSE:
            return []
        if command in (PING, INIT_DB):
            found.ok(mark)
        elif command == PREPARE:
            self._prepared(found)
        elif command == EXECUTE or raw[5:11] == b"SELECT":
            if r.random() < 0.1:
                found.error(b"no such thing " + mark)
            else:
                binary = b"\0\0" if command == EXECUTE else b""
                found.rows([binary + lenenc(mark + self.pad(200)) for _ in range(self._count())])
        elif raw[5:9] == b"CALL":
            for _ in range(r.randrange(3)):
                found.rows([lenenc(mark + b"*") for _ in range(self._count())], 2 | MORE)
            found.ok(mark)
        elif r.random() < 0.1:
            found.error(b"not now " + mark)
        else:
            found.ok(mark)
        return [Reply(found.data, parts=tuple(found.parts))]

    def _count(self) -> int:
        return int(self.rng.choice((0, 1, 2, 5, 20)))

    def _prepared(self, found: Answer) -> None:
        columns, parameters = self.rng.randrange(3), 0
        head = b"\0" + (self.serial & 0xFFFF).to_bytes(4, "little")
        head += columns.to_bytes(2, "little") + parameters.to_bytes(2, "little") + b"\0\0\0"
        found.add(head)
        for n in range(columns):
            found.column(b"p%d" % n)
        if columns and not self.no_eof:
            found.eof()

    # -- the client reads --------------------------------------------------------------------------
    def hear(self, data: bytes) -> None:
        """Sequence ids without a gap, and packets in an order that is possible."""
        self.heard += data
        heard = self.heard
        while len(heard) >= 4:
            size = 4 + int.from_bytes(heard[:3], "little")
            if len(heard) < size:
                return
            seq, payload = heard[3], bytes(heard[4:size])
            del heard[:size]
            if not self.waiting:
                raise Violation(f"a packet that nobody waits for: {payload[:40]!r}")
            kind = self.waiting[0]
            want = self.seq + 1 & 255 if self.state or kind == "login" else 0
            if not self.state and kind not in ("login", "greeting"):
                want = 1
            asides = payload[:1] == b"\xff" and not self.state and not seq
            if seq != want and not asides:  # an error may come before anything was asked
                raise Violation(f"sequence id {seq}, not {want}, of {payload[:40]!r}")
            self.seq = seq + 1 if kind == "greeting" else seq
            if self._ends(kind, payload):
                self.state = ""
                self.waiting.popleft()
                self.messages += 1

    def _ends(self, kind: str, payload: bytes) -> bool:
        """Whether the reply ends with this packet; else `state` is what comes next."""
        first = payload[0]
        if first == 255 or kind in ("greeting", "login"):
            return True
        if self.state == "columns":
            self.todo -= 1
            if not self.todo:
                self.state = "rows" if self.no_eof and kind == "query" else "eof"
                return kind == "prepare" and self.no_eof
            return False
        if self.state == "eof":
            if first != 254:
                raise Violation("no EOF behind the columns")
            self.state = "rows"
            return kind == "prepare"
        if self.state == "rows":
            if first != 254 or len(payload) >= 9:
                return False
            status = payload[3:5]
            self.state = "next"
            return not status[0] & MORE
        if kind == "prepare":
            self.todo = int.from_bytes(payload[5:7], "little")
            self.state = "columns"
            return not self.todo
        if first == 0:
            self.state = "next"
            return not payload[3] & MORE
        self.todo, self.state = first, "columns"
        return False


def plain_mysql(subject: object) -> bytes:
    """An OK where a reply to a command is due, an error where the greeting is."""
    head = subject.head  # type: ignore[attr-defined]
    seq = head.seq + 1 if head.command != "CONNECT" else 0
    if head.command == "CONNECT":
        return packet(0, b"\xff\x10\x04#08004Too many connections")
    return packet(seq, b"\0\0\0\2\0\0\0replaced")
