"""A small shop for the panel's demo: kettles, whose prices come from a cache.

    python -m rascal.demo.kettles PORT CACHE_PORT

/browse needs nothing but the shop. /order asks the cache (memcached's text protocol) for the price;
if there is no answer in time it says 503 with Retry-After: what a shop that knows its limits does.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 0.4
"""Seconds that a customer is made to wait for the cache."""
WORK = 0.004
PRICE = b"39.00"


class Shop(ThreadingHTTPServer):
    """With a connection to the cache for every customer's thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, cache: int) -> None:
        super().__init__(("127.0.0.1", port), Counter)
        self.cache = cache
        self.own = threading.local()

    def price(self) -> bytes:
        """Of a kettle. Raises OSError: the cache does not answer."""
        found = self._asked(b"get price:kettle\r\n", b"END\r\n")
        if b"VALUE" in found:
            return found.split(b"\r\n")[1]
        self._asked(b"set price:kettle 0 0 %d\r\n%s\r\n" % (len(PRICE), PRICE), b"STORED\r\n")
        return PRICE

    def _asked(self, words: bytes, end: bytes) -> bytes:
        connection = getattr(self.own, "connection", None)
        try:
            if connection is None:
                address = ("127.0.0.1", self.cache)
                connection = self.own.connection = socket.create_connection(address, PATIENCE)
                connection.settimeout(PATIENCE)
            connection.sendall(words)
            reply = b""
            while not reply.endswith(end):
                more = connection.recv(4096)
                if not more:
                    raise ConnectionError("the cache has hung up")
                reply += more
            return reply
        except OSError:
            if connection is not None:
                connection.close()
            self.own.connection = None
            raise


class Counter(BaseHTTPRequestHandler):
    """One customer."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together
    disable_nagle_algorithm = True
    server: Shop

    def do_GET(self) -> None:
        """Look at what there is."""
        time.sleep(WORK)
        if self.path == "/browse":
            self._answer(200, b"three kettles")
        else:
            self._answer(404, b"no such page")

    def do_POST(self) -> None:
        """Order a kettle."""
        if self.path != "/order":
            self._answer(404, b"no such page")
            return
        try:
            self._answer(200, b"sold for " + self.server.price())
        except OSError:
            self._answer(503, b"no prices at the moment", "1")

    def _answer(self, code: int, text: bytes, retry: str = "") -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        if retry:
            self.send_header("Retry-After", retry)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing: thousands of them would come."""


def main() -> None:
    """Until it is ended."""
    Shop(int(sys.argv[1]), int(sys.argv[2])).serve_forever()


if __name__ == "__main__":
    main()
