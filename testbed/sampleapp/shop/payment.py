"""The payment peer: takes money, remembers keys, does one thing at a time for each account.

    python -m shop.payment

POST   /ACCOUNT/charges {"reference", "cents"}, header Idempotency-Key: 201, or 200 if it was done
POST   /ACCOUNT/voids {"key"}: gives the money back, and takes none under this key any more
GET    /ACCOUNT/charges: all that hold
DELETE /ACCOUNT/charges: forget everything (for tests)
"""

import os
import sqlite3
import threading
import time
from collections import defaultdict

from flask import Flask, request

SECONDS = float(os.environ.get("SHOP_PAYMENT_SECONDS", "0.025"))
FILE = os.environ.get("SHOP_PAYMENT_FILE", ":memory:")

TABLE = """
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, reference TEXT, cents INTEGER,
    key TEXT, void INTEGER NOT NULL DEFAULT 0, UNIQUE (account, key)
)
"""


class Books:
    """The charges, in SQLite."""

    def __init__(self, file: str) -> None:
        self.lock = threading.Lock()
        self.database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute(TABLE)

    def ask(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self.lock:
            return self.database.execute(sql, values).fetchall()


class Till:
    """One after the other, each so long. Waking up late delays nobody else."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.free = 0.0

    def wait(self) -> None:
        with self.lock:
            self.free = max(self.free, time.monotonic()) + SECONDS
            until = self.free
        time.sleep(max(0.0, until - time.monotonic()))


def create_app() -> Flask:
    app = Flask(__name__)
    books = Books(FILE)
    tills: defaultdict[str, Till] = defaultdict(Till)

    def known(account: str, key: str):
        found = books.ask("SELECT * FROM charges WHERE account = ? AND key = ?", account, key)
        if not found:
            return None
        if found[0]["void"]:
            return {"error": "this key was voided"}, 409
        return {"id": found[0]["id"]}, 200

    @app.post("/<account>/charges")
    def charge(account: str):
        asked, key = request.get_json(), request.headers.get("Idempotency-Key")
        if key and (answer := known(account, key)):
            return answer
        tills[account].wait()
        made = books.ask(
            "INSERT INTO charges (account, reference, cents, key) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING id",
            account,
            asked["reference"],
            asked["cents"],
            key,
        )
        return ({"id": made[0]["id"]}, 201) if made else known(account, key)

    @app.post("/<account>/voids")
    def void(account: str):
        books.ask(
            "INSERT INTO charges (account, key, void) VALUES (?, ?, 1)"
            " ON CONFLICT (account, key) DO UPDATE SET void = 1",
            account,
            request.get_json()["key"],
        )
        return {"void": True}

    @app.get("/<account>/charges")
    def charges(account: str):
        rows = books.ask(
            "SELECT id, reference, cents FROM charges WHERE account = ? AND NOT void", account
        )
        return {"count": len(rows), "charges": [dict(row) for row in rows]}

    @app.delete("/<account>/charges")
    def forget(account: str):
        books.ask("DELETE FROM charges WHERE account = ?", account)
        return {"count": 0}

    @app.get("/health")
    def health():
        return {"seconds": SECONDS}

    return app


if __name__ == "__main__":
    from shop.serving import serve

    serve("shop.payment:create_app()", 8081, threads=64)
