"""A control API that lies: a relay before a real one that calls a proxy by a hostile name."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PLAIN = ("connection", "transfer-encoding", "content-length", "content-encoding")


@contextmanager
def hostile_node(url: str, name: str, lie: str) -> Iterator[str]:
    """The URL of a node that is like the one at `url`, but its proxy `name` is called `lie`."""
    real = urlsplit(url).netloc
    quoted, wrong = json.dumps(name).encode(), json.dumps(lie).encode()

    class Liar(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            connection = http.client.HTTPConnection(real, timeout=60)
            with suppress(OSError, http.client.HTTPException):
                connection.request("GET", self.path, headers={"Accept": self.headers["Accept"]})
                self.relay(connection.getresponse())
            connection.close()

        def do_PUT(self) -> None:
            self.send_error(503)

        def do_POST(self) -> None:
            self.send_error(503)

        def relay(self, answer: http.client.HTTPResponse) -> None:
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in PLAIN:
                    self.send_header(key, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            if "event-stream" in (answer.getheader("content-type") or ""):
                for line in answer:
                    self.wfile.write(line.replace(quoted, wrong))
            else:
                self.wfile.write(answer.read().replace(quoted, wrong))

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
