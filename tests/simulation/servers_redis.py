"""Redis as the world speaks it: RESP2 and RESP3, transactions, CLIENT REPLY, pub/sub, inline."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.models import Model, Reply, Request, Violation


def command(*words: bytes) -> bytes:
    """A command as clients write it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


class RedisModel(Model):
    name = "redis"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.resp = 2
        self.mute = ""  # OFF, SKIP
        self.queue: list[list[bytes]] | None = None
        self.doomed = False
        self.channels: set[bytes] = set()
        self.hello = rng.random() < 0.4
        self.talks_of_replies = rng.random() < 0.2
        self.subscribes = rng.random() < 0.2 and not self.talks_of_replies

    # -- the client --------------------------------------------------------------------------------
    def make(self, number: int) -> Request:
        r = self.rng
        tag = b"t%d" % number
        key = b"k%d" % r.randrange(4)
        if number == 0 and self.hello:
            return Request(command(b"HELLO", b"3", b"SETNAME", tag), "HELLO", False)
        if number < 3 and r.random() < 0.2:
            if r.random() < 0.5:
                return Request(command(b"AUTH", tag), "AUTH", False)
            return Request(command(b"CLIENT", b"SETNAME", tag), "CLIENT", False)
        while True:
            words = self._words(key, tag, r.random())
            if r.random() < 0.05:
                data = b" ".join(w or b'""' for w in words) + r.choice((b"\r\n", b"\n"))
            else:
                data = command(*words)
            if data not in self.index:
                return Request(data, words[0].decode().upper(), key=key)

    def _tagged(self, words: bytes) -> list[bytes]:
        """Commands that take no tag: told apart by capitals."""
        bits = self.rng.getrandbits(len(words))
        letters = (w + 32 if bits >> n & 1 and 65 <= w <= 90 else w for n, w in enumerate(words))
        return bytes(letters).split()

    def _words(self, key: bytes, tag: bytes, k: float) -> list[bytes]:
        r = self.rng
        if k < 0.25:
            return [r.choice((b"GET", b"get")), key, tag]
        if k < 0.45:
            return [b"SET", key, tag, b"v" + self.pad(8000)]
        if k < 0.6:
            return [b"LRANGE", key, tag]
        if k < 0.65:
            return [b"HGETALL", key, tag]
        if k < 0.7:
            return [b"INCR", key, tag]
        if k < 0.75:
            return [b"BAD", key, tag]
        if k < 0.78:
            size = r.choice((70_000, 66_000)) if r.random() < 0.1 else 0
            return [b"SET", key, tag, b"w" * size]
        if k < 0.82 and not self.talks_of_replies:
            return self._tagged(b"MULTI")
        if k < 0.88 and not self.talks_of_replies:
            return self._tagged(r.choice((b"EXEC", b"EXEC", b"DISCARD")))
        if k < 0.92 and self.talks_of_replies:
            return self._tagged(b"CLIENT REPLY " + r.choice((b"OFF", b"SKIP", b"ON")))
        if k < 0.96 and self.subscribes:
            count = r.randrange(1, 4)
            channels = [b"c%d" % n for n in r.sample(range(5), count)]
            word = r.choice((b"SUBSCRIBE", b"SUBSCRIBE", b"UNSUBSCRIBE"))
            return [word, *channels, b"c" + tag]
        return [b"PING", tag]

    def quiet(self) -> Callable[[Request], bool]:
        mute = ""

        def asked(request: Request) -> bool:
            nonlocal mute
            words = self.words(request.data)
            if words[0].upper() == b"CLIENT" and words[1].upper() == b"REPLY":
                mode = words[2].upper().decode()
                if mode == "ON":
                    mute = ""
                elif mode == "OFF" or mute != "OFF":
                    mute = mode
                return mode != "ON"
            muted = mute
            if muted == "SKIP":
                mute = ""
            return bool(muted)

        return asked

    # -- the server --------------------------------------------------------------------------------
    def split(self, buffer: bytearray) -> int:
        if buffer[0] != 42:
            end = buffer.find(b"\n")
            return end + 1
        end = buffer.find(b"\r\n")
        if end < 0:
            return 0
        try:
            at = end + 2
            count = int(buffer[1:end])
            if count > 1_000_000:
                raise ValueError
            for _ in range(count):
                end = buffer.find(b"\r\n", at)
                if end < 0:
                    return 0
                if buffer[at] != 36 or buffer[at + 1] == 45:
                    raise ValueError
                at = end + 4 + int(buffer[at + 1 : end])
                if at > len(buffer):
                    return 0
        except ValueError:
            self.broken = True
            return 0
        return at

    @staticmethod
    def words(raw: bytes) -> list[bytes]:
        if raw[:1] != b"*":
            return [b"" if w == b'""' else w for w in raw.split()]
        found, at = [], raw.find(b"\r\n") + 2
        while at < len(raw):
            end = raw.find(b"\r\n", at)
            size = int(raw[at + 1 : end])
            found.append(raw[end + 2 : end + 2 + size])
            at = end + 4 + size
        return found

    def answer(self, raw: bytes) -> list[Reply]:
        words = self.words(raw)
        if not words:
            return []
        name = words[0].upper()
        replies = name == b"CLIENT" and len(words) == 3 and words[1].upper() == b"REPLY"
        if replies and self.queue is None:
            return self._reply_mode(words[2].upper())
        muted = self.mute
        if muted == "SKIP":
            self.mute = ""
        data, parts = self._do(name, words)
        if muted and name not in (b"SUBSCRIBE", b"UNSUBSCRIBE"):
            return []
        return [Reply(data, parts=parts)] if data else []

    def _reply_mode(self, mode: bytes) -> list[Reply]:
        if mode == b"ON":
            self.mute = ""
            return [Reply(b"+OK\r\n")]
        if mode == b"OFF":
            self.mute = "OFF"
        elif self.mute != "OFF":
            self.mute = "SKIP"
        return []

    def _do(self, name: bytes, words: list[bytes]) -> tuple[bytes, tuple[int, ...]]:
        """Run or queue a command: the reply and its parts."""
        if name in (b"EXEC", b"DISCARD"):
            return self._end(name)
        if name == b"MULTI":
            if self.queue is not None:
                return b"-ERR MULTI calls can not be nested %d\r\n" % self.serial, ()
            self.queue, self.doomed = [], False
            return b"+OK\r\n", ()
        if name == b"GET" and len(words) < 2:
            self.doomed = True
            return b"-ERR wrong number of arguments for 'get' command\r\n", ()
        if self.queue is not None:
            if name in (b"SUBSCRIBE", b"UNSUBSCRIBE", b"HELLO"):
                self.doomed = True
                return b"-ERR not allowed in transactions %d\r\n" % self.serial, ()
            self.queue.append(words)
            return b"+QUEUED\r\n", ()
        return self._run(name, words)

    def _end(self, name: bytes) -> tuple[bytes, tuple[int, ...]]:
        queue, self.queue = self.queue, None
        if queue is None:
            return b"-ERR %b without MULTI %d\r\n" % (name, self.serial), ()
        if name == b"DISCARD":
            return b"+OK\r\n", ()
        if self.doomed:
            return b"-EXECABORT Transaction discarded because of previous errors.\r\n", ()
        data, parts = b"*%d\r\n" % len(queue), []
        for words in queue:
            parts.append(len(data))
            data += self._run(words[0].upper(), words)[0]
        return data, tuple(parts)

    def _array(self, items: list[bytes], mark: bytes = b"*") -> tuple[bytes, tuple[int, ...]]:
        data, parts = mark + b"%d\r\n" % (len(items) // (2 if mark == b"%" else 1)), []
        for n, item in enumerate(items):
            if mark != b"%" or n % 2 == 0:
                parts.append(len(data))
            data += item
        return data, tuple(parts)

    def _run(self, name: bytes, words: list[bytes]) -> tuple[bytes, tuple[int, ...]]:
        r = self.rng
        mark = b"%d" % self.serial
        if self.channels and self.resp == 2 and name not in (b"PING", b"SUBSCRIBE", b"UNSUBSCRIBE"):
            return b"-ERR only (P|S)SUBSCRIBE / PING in this context %b\r\n" % mark, ()
        if name in (b"SUBSCRIBE", b"UNSUBSCRIBE"):
            return self._subscribe(name.lower(), words[1:])
        if name == b"PING":
            if self.channels and self.resp == 2:
                return self._array([bulk(b"pong"), bulk(words[-1])])
            return bulk(words[-1]), ()
        if name == b"HELLO":
            self.resp = 3
            return self._array([bulk(b"server"), bulk(b"redis" + mark)], b"%")
        if name == b"GET":
            if r.random() < 0.2:
                return (b"_\r\n" if self.resp == 3 else b"$-1\r\n"), ()
            return bulk(mark + b":" + self.pad(6000)), ()
        if name == b"INCR":
            return b":%b\r\n" % mark, ()
        if name == b"BAD":
            if self.resp == 3 and r.random() < 0.3:
                text = b"ERR blob\r\n" + mark
                return b"!%d\r\n%b\r\n" % (len(text), text), ()
            return b"-ERR no such thing " + mark + b"\r\n", ()
        if name == b"LRANGE":
            items = [bulk(mark + b"." + self.pad(300)) for _ in range(r.choice((0, 1, 2, 5, 30)))]
            if r.random() < 0.1:
                items.append(b"*2\r\n:1\r\n*1\r\n$2\r\nok\r\n")
            return self._array(items)
        if name == b"HGETALL":
            items = [bulk(mark + self.pad(50)) for _ in range(2 * r.choice((0, 1, 4)))]
            return self._array(items, b"%" if self.resp == 3 else b"*")
        if name in (b"AUTH", b"CLIENT", b"SET"):
            return b"+OK" + (mark if r.random() < 0.7 else b"") + b"\r\n", ()
        return b"-ERR unknown command %b\r\n" % mark, ()

    def _subscribe(self, name: bytes, channels: list[bytes]) -> tuple[bytes, tuple[int, ...]]:
        data, parts = b"", []
        for channel in channels:
            (self.channels.discard if name[0] == 117 else self.channels.add)(channel)
            parts.append(len(data))
            data += b">" if self.resp == 3 else b"*"
            data += b"3\r\n" + bulk(name) + bulk(channel) + b":%d\r\n" % len(self.channels)
        return data, tuple(parts)

    def push(self) -> Reply | None:
        self.serial += 1
        if not self.channels:
            if self.resp != 3:
                return None
            key = bulk(b"key%d" % self.serial)
            return Reply(b">2\r\n$10\r\ninvalidate\r\n*1\r\n" + key, what="push")
        mark = b">" if self.resp == 3 else b"*"
        text = bulk(b"push %d" % self.serial + self.pad(600))
        return Reply(mark + b"3\r\n$7\r\nmessage\r\n$2\r\nc1\r\n" + text, what="push")

    # -- the client reads --------------------------------------------------------------------------
    def hear(self, data: bytes) -> None:
        self.heard += data
        at = 0
        while at < len(self.heard):
            end = value_end(self.heard, at)
            if end < 0:
                break
            self.messages += self.heard[at] != 62
            at = end
        del self.heard[:at]


def value_end(data: bytearray, at: int) -> int:
    """Where the value at `at` ends; -1: not all there. Raises Violation."""
    todo = 1
    while todo:
        end = data.find(b"\r\n", at)
        if end < 0:
            if at < len(data) and data[at] not in b"+-:$*%>_!#,~":
                raise Violation(f"not RESP: {bytes(data[at : at + 40])!r}")
            return -1
        kind, line = data[at], bytes(data[at + 1 : end])
        at = end + 2
        todo -= 1
        if kind in b"$!":
            if line != b"-1":
                at += int(line) + 2
                if at > len(data):
                    return -1
        elif kind in b"*%>~":
            count = max(0, int(line))
            todo += count * (2 if kind == 37 else 1)
        elif kind not in b"+-:_#,":
            raise Violation(f"not RESP: {bytes(data[end - len(line) - 1 : end + 20])!r}")
    return at
