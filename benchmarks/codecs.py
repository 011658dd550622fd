"""What framing costs: microseconds for each message, by codec, direction and way.

    python benchmarks/codecs.py [--protocol redis] [--seconds 0.2] [--json]

`feed` is the way on which a fault may strike (pieces and heads), `skim` the way on which nobody
watches. `alone`: each message comes in a read of its own; `x16`: sixteen in one read; `split`:
the same, cut in the middle of messages. The books are those of the data path. Each figure is the
best of five rounds: what the code costs, not what the machine did meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from rascal.proxy.exchange import Books
from rascal.wire import protocols
from rascal.wire.types import Codec, Head, WireProtocol, skim_replies, skim_requests

BATCH = 16
ROUNDS = 5


@dataclass(frozen=True)
class Sample:
    """One request and its reply, and what must have been said before them."""

    title: str
    request: bytes
    reply: bytes
    before: tuple[tuple[str, bytes], ...] = ()


def _resp(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


_HTTP_HEAD = (
    b"GET /orders/123?page=2 HTTP/1.1\r\nHost: shop.internal\r\nUser-Agent: bench/1.0\r\n"
    b"Accept: application/json\r\nX-Request-Id: 4f3c2b1a\r\n\r\n"
)
_HTTP_REPLY = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 01 Jan 2028 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 256\r\nConnection: keep-alive\r\n\r\n"
    + b"x"
    * 256
)

SAMPLES: dict[str, tuple[Sample, ...]] = {
    "redis": (
        Sample(
            "GET, 16 B key, 64 B",
            _resp(b"GET", b"key:000000000001"),
            b"$64\r\n%b\r\n" % (b"v" * 64),
        ),
        Sample("SET, 64 B", _resp(b"SET", b"key:000000000001", b"v" * 64), b"+OK\r\n"),
        Sample(
            "GET, 1 KiB", _resp(b"GET", b"key:000000000001"), b"$1024\r\n%b\r\n" % (b"v" * 1024)
        ),
        Sample("SET, 1 KiB", _resp(b"SET", b"key:000000000001", b"v" * 1024), b"+OK\r\n"),
        Sample(
            "LRANGE of 100",
            _resp(b"LRANGE", b"list", b"0", b"99"),
            b"*100\r\n" + b"$8\r\nitem0001\r\n" * 100,
        ),
    ),
    "memcached": (
        Sample(
            "get, 64 B",
            b"get key:000000000001\r\n",
            b"VALUE key:000000000001 0 64\r\n" + b"v" * 64 + b"\r\nEND\r\n",
        ),
        Sample(
            "set, 64 B", b"set key:000000000001 0 0 64\r\n" + b"v" * 64 + b"\r\n", b"STORED\r\n"
        ),
        Sample("mg, 64 B", b"mg key:000000000001 v\r\n", b"VA 64\r\n" + b"v" * 64 + b"\r\n"),
    ),
    "http": (Sample("GET, 256 B of JSON", _HTTP_HEAD, _HTTP_REPLY),),
}
"""Protocols whose connection begins with a log-in say it in `before` (way, bytes)."""


class Wire:
    """The two codecs of one connection, with the data path's books."""

    def __init__(self, protocol: WireProtocol, sample: Sample) -> None:
        self.protocol = protocol
        self.session = protocol.session(protocol.options.plain({}))
        self.books = Books(None)  # type: ignore[arg-type]
        self.up, self.down = protocol.codecs(self.session, self.books)
        if protocol.greets:
            self.books.request(Head("CONNECT", asked=False))
        for way, data in sample.before:
            self.feed(self.up if way == "up" else self.down, data)

    def feed(self, codec: Codec, data: bytes) -> None:
        """The plain way through feed(), with the books kept."""
        view = memoryview(data)
        if codec is self.up:
            skim_requests(codec, self.protocol, self.session, self.books, view)
        else:
            skim_replies(codec, self.books, view, [True])

    def skim(self, codec: Codec, data: bytes) -> None:
        codec.skim(memoryview(data))


def measure(work: Callable[[], float], messages: int, seconds: float) -> float:
    """Microseconds for a message: the best round; `work` returns the seconds it took."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        count, spent = 0, 0.0
        while spent < seconds / ROUNDS:
            spent += work()
            count += messages
        best = min(best, spent / count)
    return best * 1e6


def reads(data: bytes, count: int, how: str) -> list[bytes]:
    """`count` messages as they arrive."""
    if how == "alone":
        return [data] * count
    whole = data * count
    if how == "x16":
        return [whole]
    middle = len(whole) // 2 + len(data) // 3
    return [whole[:middle], whole[middle:]]


def figures(
    protocol: WireProtocol, sample: Sample, seconds: float
) -> Iterator[tuple[str, str, str, float]]:
    """(direction, way, arrival, microseconds) of one sample."""
    for direction in ("to_upstream", "to_client"):
        for way in ("feed", "skim"):
            for how in ("alone", "x16", "split"):
                wire = Wire(protocol, sample)
                step = wire.feed if way == "feed" else wire.skim
                ups, downs = reads(sample.request, BATCH, how), reads(sample.reply, BATCH, how)

                def work(
                    wire: Wire = wire,
                    step: Callable[[Any, bytes], None] = step,
                    ups: list[bytes] = ups,
                    downs: list[bytes] = downs,
                    direction: str = direction,
                ) -> float:
                    began = perf_counter()
                    for data in ups:
                        step(wire.up, data)
                    middle = perf_counter()
                    for data in downs:
                        step(wire.down, data)
                    ended = perf_counter()
                    return middle - began if direction == "to_upstream" else ended - middle

                yield direction, way, how, measure(work, BATCH, seconds)
                assert not wire.books.forwarded, (
                    f"{protocol.name}: replies and requests do not pair"
                )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--protocol", help="only this one")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each figure")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args()
    found = []
    for name, protocol in protocols().items():
        for sample in SAMPLES.get(name, ()):
            if options.protocol not in (None, name):
                continue
            row: dict[str, Any] = {"protocol": name, "sample": sample.title}
            for direction, way, how, cost in figures(protocol, sample, options.seconds):
                row[f"{direction} {way} {how}"] = round(cost, 3)
            found.append(row)
            if not options.json:
                show(row)
    if options.json:
        json.dump(found, sys.stdout, indent=2)
    return 0


def show(row: dict[str, Any]) -> None:
    print(f"{row['protocol']}: {row['sample']}   (us per message)")
    print(f"{'':12}{'feed':>24}{'skim':>24}")
    print(f"{'':12}" + f"{'alone':>8}{'x16':>8}{'split':>8}" * 2)
    for direction in ("to_upstream", "to_client"):
        cells = [
            row[f"{direction} {way} {how}"]
            for way in ("feed", "skim")
            for how in ("alone", "x16", "split")
        ]
        print(f"{direction:12}" + "".join(f"{cell:8.2f}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
