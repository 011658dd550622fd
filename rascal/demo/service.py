"""The demo's HTTP service: a catalogue and a payment peer that counts what it charges.

    python -m rascal.demo.service PORT

GET /catalogue · POST /charge · GET /charges (how many were made)
"""

from __future__ import annotations

import json
import sys
from typing import Any

from klein import Klein
from twisted.web.iweb import IRequest
from twisted.web.server import Site

ITEMS = [
    {"id": 1, "name": "kettle", "price": 3900},
    {"id": 2, "name": "teapot", "price": 2400},
    {"id": 3, "name": "strainer", "price": 600},
]


class Service:
    """Keeps its charges in memory."""

    app = Klein()

    def __init__(self) -> None:
        self.charges: list[object] = []

    @app.route("/catalogue", methods=["GET"])
    def catalogue(self, request: IRequest) -> bytes:
        """What is for sale."""
        return _json(request, {"items": ITEMS})

    @app.route("/charge", methods=["POST"])
    def charge(self, request: IRequest) -> bytes:
        """Take the money."""
        self.charges.append(request.content.read())
        request.setResponseCode(201)
        return _json(request, {"charge": len(self.charges)})

    @app.route("/charges", methods=["GET"])
    def count(self, request: IRequest) -> bytes:
        """How often money was taken."""
        return _json(request, {"charges": len(self.charges)})


def _json(request: IRequest, value: object) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(value).encode()


def main() -> None:
    """Serve on 127.0.0.1 until killed."""
    from twisted.internet import reactor

    site: Any = Site(Service().app.resource())
    reactor.listenTCP(int(sys.argv[1]), site, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
