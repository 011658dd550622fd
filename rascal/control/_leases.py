"""Leases of controllers: what is under one is removed unless its owner renews it.

GET          /api/v1/leases
GET          /api/v1/leases/{id}
PUT          /api/v1/leases/{id}      {} or {"for": "15s"}: it lasts from now on; 404: it has lapsed
DELETE       /api/v1/leases/{id}      what is under it is removed now

A lease begins when a fault is added under it (`"lease": {"id": "run-7", "for": "15s"}`). Renew it
three times as often as it lasts.
"""

from __future__ import annotations

from typing import Any

from rascal.control import _views as views
from rascal.control._call import Call
from rascal.control._draft import LEASE_FOR, duration
from rascal.control._problems import unknown
from rascal.control._schemas import named, ref
from rascal.control._site import Api


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    one = "/api/v1/leases/<name>"
    lease = ref("Lease")
    api.add("GET", "/api/v1/leases", list_leases, gives=named(lease))
    api.add("GET", one, get_lease, gives=lease)
    api.add("PUT", one, renew_lease, "operator", takes=ref("Renewal"), gives=lease)
    api.add("DELETE", one, end_lease, "operator", gives=lease)


def list_leases(call: Call) -> dict[str, Any]:
    """All leases, by id."""
    call.query()
    return {id_: _shown(call, id_) for id_ in call.node.leases.granted}


def get_lease(call: Call, name: str) -> dict[str, Any]:
    """One lease and what is under it."""
    call.query()
    return _shown(call, name)


def renew_lease(call: Call, name: str) -> dict[str, Any]:
    """It lasts from now on; `for` gives it another duration."""
    _shown(call, name)
    data = call.members(call.body(), ("for",), "a lease")
    seconds = duration(LEASE_FOR, data["for"], "/for") if "for" in data else None
    call.node.leases.renew(name, seconds)
    return _shown(call, name)


def end_lease(call: Call, name: str) -> dict[str, Any]:
    """Give it up: what is under it is removed now. Its last state."""
    call.query()
    shown = _shown(call, name)
    call.node.leases.end(name)
    return shown


def _shown(call: Call, name: str) -> dict[str, Any]:
    leases = call.node.leases
    one = leases.granted.get(name)
    if one is None:
        raise unknown("lease", name, leases.granted)
    return views.lease(one, leases.members(name), leases.clock.now())
