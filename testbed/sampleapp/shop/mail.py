"""Takes mail over SMTP, throws it away and counts it.

    python -m shop.mail

GET /mails?sender=ADDRESS: {"mails": all, "letters": with different Message-IDs} · DELETE: forget ·
GET /health
"""

import email
import json
import os
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller

from shop import settings

SMTP_PORT = int(os.environ.get("SHOP_SMTP_PORT", "2525"))
FILE = os.environ.get("SHOP_MAIL_FILE", ":memory:")


class Sink:
    """What came; aiosmtpd calls handle_DATA."""

    def __init__(self, file: str) -> None:
        self.lock = threading.Lock()
        self.database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute("CREATE TABLE IF NOT EXISTS mails (sender TEXT, letter TEXT)")

    def ask(self, sql: str, *values: object) -> tuple[int, ...]:
        with self.lock:
            return self.database.execute(sql, values).fetchone() or ()

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802, aiosmtpd's name
        letter = email.message_from_bytes(envelope.content).get("Message-ID", "")
        self.ask("INSERT INTO mails VALUES (?, ?)", envelope.mail_from, letter)
        return "250 Thank you"


class Counter(BaseHTTPRequestHandler):
    """The count, over HTTP."""

    sink: Sink

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/health":
            self.reply({"smtp": SMTP_PORT})
            return
        mails, letters = self.sink.ask(
            "SELECT COUNT(*), COUNT(DISTINCT letter) FROM mails WHERE sender = ?", self.sender
        )
        self.reply({"mails": mails, "letters": letters})

    def do_DELETE(self) -> None:
        self.sink.ask("DELETE FROM mails WHERE sender = ?", self.sender)
        self.reply({"mails": 0, "letters": 0})

    @property
    def sender(self) -> str:
        return parse_qs(urlsplit(self.path).query).get("sender", [""])[0]

    def reply(self, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        pass


def main() -> None:
    Counter.sink = Sink(FILE)
    server = ThreadingHTTPServer((settings.HOST, settings.port(8082)), Counter)
    controller = Controller(Counter.sink, hostname=settings.HOST, port=SMTP_PORT)
    controller.start()
    try:
        server.serve_forever()
    finally:
        controller.stop()


if __name__ == "__main__":
    main()
