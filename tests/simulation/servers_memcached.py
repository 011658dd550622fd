"""memcached as the world speaks it: text commands, noreply, meta commands, quiet ones."""

from __future__ import annotations

import random

from tests.simulation.models import Model, Reply, Request, Violation

STORAGE = (b"set", b"add", b"replace", b"append")


class MemcachedModel(Model):
    name = "memcached"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.quiet_ones: set[bytes] = set()
        self.loud_ones: set[bytes] = set()
        self.is_loud = False
        self.doubts: set[str] = set()
        """What the quiet requests that no reply has settled yet might have been answered: the
        next reply must not be that, or nobody could tell whose it is."""

    # -- the client --------------------------------------------------------------------------------
    def make(self, number: int) -> Request:
        r = self.rng
        key = b"k%d.t%d" % (r.randrange(4), number)
        k = r.random()
        replies = True
        if k < 0.3:
            keys = [key] + [b"k%d" % r.randrange(9) for _ in range(r.choice((0, 0, 1, 3, 20)))]
            line, data = b"%b %b\r\n" % (r.choice((b"get", b"gets")), b" ".join(keys)), b""
        elif k < 0.5:
            body = b"v" + self.pad(9000)
            replies = r.random() < 0.8
            end = b"" if replies else b" noreply"
            line = b"%b %b %d 0 %d%b\r\n" % (r.choice(STORAGE), key, number, len(body), end)
            data = body + b"\r\n"
        elif k < 0.62:
            replies = r.random() < 0.8
            end = b"" if replies else b" noreply"
            word = r.choice((b"delete %b", b"incr %b 1", b"touch %b 60"))
            line, data = word % key + end + b"\r\n", b""
        elif k < 0.67:
            line, data = b"nonsense %b\r\n" % key, b""
            return Request(line, "NONSENSE")
        elif k < 0.72:
            line, data = b"stats t%d\r\n" % number, b""
        elif k < 0.84:
            flags = b" ".join(r.sample((b"v", b"t", b"f", b"k", b"O%d" % number), 3))
            line, data = b"mg %b %b%b\r\n" % (key, flags, b" q" if r.random() < 0.3 else b""), b""
        elif k < 0.92:
            body = b"m" + self.pad(500)
            quiet = b" q" if r.random() < 0.3 else b""
            line = b"ms %b %d T%d%b\r\n" % (key, len(body), number, quiet)
            data = body + b"\r\n"
        elif k < 0.96:
            line, data = b"md %b O%d\r\n" % (key, number), b""
        else:
            line, data = b"mg %b v\r\n" % key, b""
        return Request(line + data, line.split()[0].decode().upper(), key=key, replies=replies)

    def may_be_silent(self, request: Request) -> bool:
        words = request.data.partition(b"\n")[0].split()
        return words[0] in (b"mg", b"ms") and b"q" in words

    # -- the server --------------------------------------------------------------------------------
    def split(self, buffer: bytearray) -> int:
        end = buffer.find(b"\n")
        if end < 0:
            return 0
        words = bytes(buffer[: end + 1]).split()
        try:
            if words and words[0] in STORAGE and len(words) >= 5:
                end += int(words[4]) + 2
            elif words and words[0] == b"ms" and len(words) >= 3:
                end += int(words[2]) + 2
        except ValueError:
            self.broken = True
            return 0
        return end + 1 if len(buffer) > end else 0

    def answer(self, raw: bytes) -> list[Reply]:
        replies = self._answer(raw)
        if any(reply.data for reply in replies):
            self.doubts.clear()
        elif replies:
            words = raw.partition(b"\n")[0].split()
            echoes = any(word[:1] in (b"O", b"k") for word in words[2:])
            self.doubts.add("NS" if words[0] == b"ms" else "echo" if echoes else "VA")
        return replies

    def _answer(self, raw: bytes) -> list[Reply]:
        words = raw.partition(b"\n")[0].split()
        if not words:
            return [Reply(b"ERROR\r\n")]
        name, r, mark = words[0], self.rng, b"%d" % self.serial
        if words[-1] == b"noreply":
            return []
        if name in (b"get", b"gets"):
            return [self._items(words[1:], b" 77" if name == b"gets" else b"")]
        if name in STORAGE:
            lines = [b"STORED", b"STORED", b"NOT_STORED"]
            if not self.doubts:
                lines.append(b"SERVER_ERROR out of memory " + mark)
            return [Reply(r.choice(lines) + b"\r\n")]
        if name == b"delete":
            return [Reply(r.choice((b"DELETED", b"NOT_FOUND")) + b"\r\n")]
        if name == b"incr":
            return [Reply(r.choice((mark, b"NOT_FOUND")) + b"\r\n")]
        if name == b"touch":
            return [Reply(r.choice((b"TOUCHED", b"NOT_FOUND")) + b"\r\n")]
        if name == b"stats":
            data, parts = b"", []
            for n in range(r.choice((0, 1, 5))):
                parts.append(len(data))
                data += b"STAT s%d %b\r\n" % (n, mark)
            return [Reply(data + b"END\r\n", parts=tuple(parts))]
        if name in (b"mg", b"ms", b"md", b"mn"):
            if raw in self.quiet_ones:  # a duplicate, whose outcome must be the same
                return [Reply(b"")]
            self.is_loud = raw in self.loud_ones
            data = self._meta(name, words)
            if not data:
                self.quiet_ones.add(raw)
            elif b"q" in words:
                self.loud_ones.add(raw)
            return [Reply(data)]
        return [Reply(b"ERROR\r\n")]

    def _items(self, keys: list[bytes], end: bytes) -> Reply:
        data, parts = b"", []
        for key in keys:
            if self.rng.random() < 0.7:
                body = b"%d:" % self.serial + self.pad(900)
                parts.append(len(data))
                data += b"VALUE %b 0 %d%b\r\n%b\r\n" % (key, len(body), end, body)
        return Reply(data + b"END\r\n", parts=tuple(parts))

    def _meta(self, name: bytes, words: list[bytes]) -> bytes:
        r = self.rng
        if name == b"mn":
            return b"MN\r\n"
        quiet = b"q" in words
        back = b"".join(
            b" " + (b"k" + words[1] if w == b"k" else b"t60" if w == b"t" else b"f0")
            if w in (b"k", b"t", b"f")
            else b" " + w
            for w in words[2:]
            if w in (b"k", b"t", b"f") or w[:1] == b"O"
        )
        if name == b"mg":
            doubtful = "VA" in self.doubts and not any(w[:1] in (b"O", b"k") for w in words[2:])
            if (r.random() < 0.4 or doubtful) and not self.is_loud:
                return b"" if quiet else b"EN\r\n"
            if b"v" not in words:
                return b"HD" + back + b"\r\n"
            body = b"%d:" % self.serial + self.pad(500)
            return b"VA %d%b\r\n%b\r\n" % (len(body), back, body)
        if name == b"ms":
            if (r.random() < 0.2 and "NS" not in self.doubts) or self.is_loud:
                return b"NS\r\n"
            return b"" if quiet else b"HD\r\n"
        return r.choice((b"HD", b"NF")) + back + b"\r\n"

    # -- the client reads --------------------------------------------------------------------------
    def hear(self, data: bytes) -> None:
        self.heard += data
        while True:
            end = self.heard.find(b"\r\n")
            if end < 0:
                return
            words = bytes(self.heard[:end]).split()
            if not words:
                raise Violation("an empty line")
            size = end + 2
            if words[0] == b"VALUE":
                size += int(words[3]) + 2
            elif words[0] == b"VA":
                size += int(words[1]) + 2
            elif not words[0].isdigit() and words[0] not in WORDS:
                raise Violation(f"not memcached: {bytes(self.heard[:60])!r}")
            if len(self.heard) < size:
                return
            if self.heard[size - 2 : size] != b"\r\n":
                raise Violation("a value without its line end")
            self.messages += words[0] not in (b"VALUE", b"STAT")
            del self.heard[:size]


WORDS = frozenset(
    b"VALUE VA STAT END STORED NOT_STORED DELETED NOT_FOUND TOUCHED ERROR CLIENT_ERROR "
    b"SERVER_ERROR HD EN NS NF EX MN EXISTS BUSY BADCLASS OK RESET VERSION".split()
)
