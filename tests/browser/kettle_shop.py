"""A small shop on the standard library whose orders need a cache.

    python kettle_shop.py PORT CACHE_PORT

/browse needs nothing; /order asks the cache for the price and says 503 (with Retry-After) when it
does not answer in time, 500 when it answers with an error. /echo?TEXT gives TEXT as HTML.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = 0.3
"""Seconds that a customer is made to wait for the cache."""
WORK = 0.004


class Shop(ThreadingHTTPServer):
    """With a connection to the cache for every customer's thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, cache: int) -> None:
        super().__init__(("127.0.0.1", port), Counter)
        self.cache = cache
        self.own = threading.local()

    def price(self) -> bytes:
        """Of a kettle."""
        if not hasattr(self.own, "client"):
            self.own.client = redis.Redis(
                port=self.cache,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                retry=Retry(NoBackoff(), 0),
            )
        found = self.own.client.get("price:kettle")
        if found is None:
            self.own.client.set("price:kettle", "39.00")
        return found or b"39.00"


class Counter(BaseHTTPRequestHandler):
    """One customer."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together
    server: Shop

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/browse":
            time.sleep(WORK)
            self.answer(200, b"three kettles")
        elif path == "/order":
            self.order()
        elif path == "/echo":
            self.answer(200, unquote(query).encode(), "text/html; charset=utf-8")
        else:
            self.answer(404, b"no such page")

    def do_POST(self) -> None:
        self.do_GET()

    def order(self) -> None:
        try:
            self.answer(200, b"sold for " + self.server.price())
        except (redis.TimeoutError, redis.ConnectionError):
            self.answer(503, b"no prices at the moment", retry="1")
        except redis.RedisError as error:
            self.answer(500, str(error).encode())

    def answer(self, code: int, text: bytes, kind: str = "text/plain", retry: str = "") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        if retry:
            self.send_header("Retry-After", retry)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()


if __name__ == "__main__":
    Shop(int(sys.argv[1]), int(sys.argv[2])).serve_forever()
