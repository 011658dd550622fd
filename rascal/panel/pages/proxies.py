"""The proxies of all nodes, and one of them; what they show is the nodes' own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from rascal.control._problems import Problem
from rascal.panel.scenario_files import dumps
from rascal.panel.site import Call, Panel, Redirect


def routes(panel: Panel) -> None:
    """Add the addresses."""
    panel.templates.filters["path"] = lambda name: quote(str(name), safe="")
    panel.page("/proxies", _list)
    panel.page("/proxies/<proxy>", _proxy)


def _first(call: Call) -> str:
    nodes = call.panel.nodes
    return dumps({"nodes": nodes.json(), "lever": nodes.levers()})


def _list(call: Call) -> Any:
    values = {"first": _first(call), "nodes": call.panel.nodes.nodes.values()}
    return "proxies.html", {"title": "Proxies", "connects": True, **values}


def _proxy(call: Call, proxy: str) -> Any:
    nodes = call.panel.nodes
    node = call.query.get("node", "")
    try:
        found = nodes.find(proxy, node)
    except Problem as problem:
        away = [
            one.name for one in nodes.nodes.values() if one.state != "up" and not len(one.proxies)
        ]
        if problem.status == 409:
            return _which(call, proxy)
        if node in away or (not node and away):
            return _away(call, proxy, node or away[0])
        raise
    if not node:
        return Redirect(f"/proxies/{quote(proxy, safe='')}?{urlencode({'node': found.name})}")
    state = found.proxies[proxy]
    values = {"first": _first(call), "node": found, "proxy": proxy, "state": state}
    return "proxy.html", {"title": proxy, **values}


def _which(call: Call, proxy: str) -> Any:
    having = [one for one in call.panel.nodes.nodes.values() if proxy in one.proxies]
    return "proxy_which.html", {"title": proxy, "proxy": proxy, "having": having}


def _away(call: Call, proxy: str, node: str) -> Any:
    found = call.panel.nodes.node(node)
    values = {"first": _first(call), "node": found, "proxy": proxy, "state": None}
    return "proxy.html", {"title": proxy, **values}
