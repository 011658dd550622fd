"""Connect my app: add a proxy, point the app at it, see what arrives."""

from __future__ import annotations

from typing import Any

from rascal.panel.scenario_files import dumps
from rascal.panel.site import Call, Panel


def routes(panel: Panel) -> None:
    """Add the address."""
    panel.page("/connect", _connect)


def _connect(call: Call) -> Any:
    nodes = call.panel.nodes
    return "connect.html", {
        "title": "Connect my app",
        "here": "proxies",
        "first": dumps({"nodes": nodes.json(), "lever": nodes.levers()}),
    }
