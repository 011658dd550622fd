"""HTTP/1.1 as the world speaks it: pipelining, HEAD, chunks, close-delimited bodies, Expect."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator

from tests.simulation.models import Model, Reply, Request, Violation

END = b"\r\n\r\n"


def chunked(*chunks: bytes) -> tuple[bytes, tuple[int, ...]]:
    """A chunked body and where its chunks begin."""
    data, parts = b"", []
    for chunk in chunks:
        if chunk:
            parts.append(len(data))
            data += b"%x\r\n%b\r\n" % (len(chunk), chunk)
    return data + b"0\r\n\r\n", tuple(parts)


class HttpModel(Model):
    name = "http"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.closed = False
        self.methods: deque[bytes] = deque()
        self.until_close = False
        self.expects = False
        self.bare = rng.random() < 0.15
        """Responses without a length are allowed."""

    # -- the client --------------------------------------------------------------------------------
    def make(self, number: int) -> Request:
        r = self.rng
        method = r.choice((b"GET", b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"))
        path = b"/k%d/t%d" % (r.randrange(4), number)
        version = b"HTTP/1.0" if r.random() < 0.02 else b"HTTP/1.1"
        lines = [method + b" " + path + b" " + version, b"Host: example.test"]
        if r.random() < 0.02:
            lines.append(b"Connection: close")
        body = b""
        if method in (b"POST", b"PUT"):
            body = b"body%d" % number + self.pad(9000)
            if version == b"HTTP/1.1" and r.random() < 0.15:
                lines.append(b"Expect: 100-continue")
            if version == b"HTTP/1.1" and r.random() < 0.3:
                lines.append(b"Transfer-Encoding: chunked")
                cut = r.randrange(len(body))
                body = chunked(body[:cut], body[cut:])[0]
            else:
                lines.append(b"Content-Length: %d" % len(body))
        self.methods.append(method)
        return Request(b"\r\n".join(lines) + END + body, method.decode(), key=path)

    # -- the server --------------------------------------------------------------------------------
    def serve(self, data: bytes) -> Iterator[Reply]:
        yield from super().serve(data)
        if self.buffer and not self.expects and not self.closed:
            head = self.buffer.find(END)
            if head >= 0 and b"100-continue" in self.buffer[:head]:
                self.expects = True
                line = bytes(self.buffer[: self.buffer.find(b"\r\n")])
                number = next(
                    (n for data, n in self.index.items() if data.startswith(line + b"\r\n")), None
                )
                again = any(number == n for _, n in self.seen)
                interim = b"HTTP/1.1 100 Continue\r\nX-Serial: %d\r\n\r\n" % (self.serial + 1)
                yield Reply(interim, number, what="interim", again=again)

    def split(self, buffer: bytearray) -> int:
        head = buffer.find(END)
        if head < 0:
            if len(buffer) > 4 and not buffer[:3].isalpha():
                self.broken = True
            return 0
        lines = bytes(buffer[:head]).split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
        at = head + 4
        if b"transfer-encoding" in headers:
            while True:
                end = buffer.find(b"\r\n", at)
                if end < 0:
                    return 0
                try:
                    size = int(buffer[at:end], 16)
                except ValueError:
                    self.broken = True
                    return 0
                at = end + 4 + size
                if len(buffer) < at:
                    return 0
                if not size:
                    return at
        try:
            at += int(headers.get(b"content-length", b"0"))
        except ValueError:
            self.broken = True
            return 0
        return at if len(buffer) >= at else 0

    def answer(self, raw: bytes) -> list[Reply]:
        if self.closed:
            return []
        r = self.rng
        expected, self.expects = self.expects, False
        found: list[Reply] = []
        lines = raw[: raw.find(END)].split(b"\r\n")
        method, _, version = [*lines[0].split(b" "), b"", b""][:3]
        if b"100-continue" in raw[: raw.find(END)] and not expected:
            line = b"HTTP/1.1 100 Continue\r\nX-Serial: %d\r\n\r\n" % self.serial
            found.append(Reply(line, what="interim"))
        close = b"Connection: close" in lines or version == b"HTTP/1.0"
        status = r.choice((b"200 OK", b"200 OK", b"404 Not Found", b"500 Internal Server Error"))
        k = r.random()
        headers = [b"X-Serial: %d" % self.serial]
        body, parts = b"", ()
        if k < 0.08:
            status = r.choice((b"204 No Content", b"304 Not Modified"))
        elif k < 0.55 or version == b"HTTP/1.0":
            body = b"%d:" % self.serial + self.pad(8000)
            headers.append(b"Content-Length: %d" % len(body))
        elif k < 0.97 or not self.bare:
            chunks = [b"%d." % self.serial + self.pad(300) for _ in range(r.choice((0, 1, 3, 9)))]
            body, parts = chunked(*chunks)
            headers.append(b"Transfer-Encoding: chunked")
        else:
            body = b"%d until the end" % self.serial + self.pad(3000)
            close = True
        if close:
            headers.append(b"Connection: close")
            self.closed = True
        head = b"\r\n".join((b"HTTP/1.1 " + status, *headers)) + END
        if body and not parts and not body.startswith(b"0\r\n"):
            parts = (0,)
        if method == b"HEAD":
            body, parts = b"", ()
        offsets = tuple(len(head) + part for part in parts)
        found.append(Reply(head + body, parts=offsets, closes=close))
        return found

    # -- the client reads --------------------------------------------------------------------------
    def hear(self, data: bytes) -> None:
        if self.until_close:
            return
        self.heard += data
        while self.heard:
            size = self._response()
            if size < 0:
                return
            del self.heard[:size]

    def _response(self) -> int:
        """The length of the first response; -1: not all there."""
        heard = self.heard
        head = heard.find(END)
        if not b"HTTP/1.1 ".startswith(heard[:9]) and not b"HTTP/1.0 ".startswith(heard[:9]):
            raise Violation(f"not HTTP: {bytes(heard[:60])!r}")
        if head < 0:
            return -1
        status = bytes(heard[9:12])
        if status[:1] == b"1":
            return head + 4
        if not self.methods:
            raise Violation("a response to nothing")
        lines = bytes(heard[:head]).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:])
        at = head + 4
        if self.methods[0] == b"HEAD" or status in (b"204", b"304"):
            pass
        elif b"transfer-encoding" in headers:
            while True:
                end = heard.find(b"\r\n", at)
                if end < 0:
                    return -1
                size = int(bytes(heard[at:end]), 16)
                at = end + 4 + size
                if len(heard) < at:
                    return -1
                if not size:
                    break
        elif b"content-length" in headers:
            at += int(headers[b"content-length"])
            if len(heard) < at:
                return -1
        else:
            self.until_close = True
            at = len(heard)
        self.methods.popleft()
        self.messages += 1
        return at
