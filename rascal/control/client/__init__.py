"""Clients for the control API: `Client` blocks, `AsyncClient` is for Twisted and asyncio.

    with Client("http://127.0.0.1:8474") as client:
        client.add("db", "delay 2s match statement=SELECT", count=3)
        client.get("db", "delay")["fired"]
        client.remove("db", "delay")

        with client.fault("db", "lose_reply(then=reset) match statement=COMMIT count 1") as lost:
            checkout()
        assert lost.fired == 1                       # and the proxy is as it was before

        for event in client.events():                # as they happen
            print(event.kind, event.data)

URLs are http://HOST:PORT, https://HOST:PORT and unix:/PATH; without one RASCAL_URL is asked, then
the usual address. A token is an argument, RASCAL_TOKEN, or stands in the file that
RASCAL_TOKEN_FILE names. What the API refuses is raised as Refused, with the problem object that it
sent; a service that cannot be reached as Unreachable. Both clients have the same methods, named in
rascal.control.client._asks.

Importing this imports neither Twisted nor a reactor; asking for AsyncClient does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.control.client._access import DEFAULT_URL, Refused, Unreachable
from rascal.control.client._asks import Collection, Data
from rascal.control.client._data import (
    ConnectionData,
    CountersData,
    ExchangeData,
    FaultData,
    LeaseData,
    PanicData,
    ProxyData,
    ReloadData,
    StateData,
    StepData,
)
from rascal.control.client._events import Event
from rascal.control.client._standing import Standing, Unproven
from rascal.control.client._sync import Client

if TYPE_CHECKING:
    from rascal.control.client._async import AsyncClient


def __getattr__(name: str) -> Any:
    if name == "AsyncClient":
        from rascal.control.client._async import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DEFAULT_URL",
    "AsyncClient",
    "Client",
    "Collection",
    "ConnectionData",
    "CountersData",
    "Data",
    "Event",
    "ExchangeData",
    "FaultData",
    "LeaseData",
    "PanicData",
    "ProxyData",
    "Refused",
    "ReloadData",
    "Standing",
    "StateData",
    "StepData",
    "Unproven",
    "Unreachable",
]
