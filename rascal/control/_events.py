"""What happens, as it happens: server-sent events (WHATWG HTML, section 9.2).

GET          /api/v1/events?types=&proxy=&after=

`types` and `proxy` are lists with commas. A reader that comes back says `Last-Event-ID` (browsers
do) or `after` and gets what it has missed; if that cannot be had any more, `gap` says so. Ids are
EPOCH-NUMBER. Asking for `exchanges` by name makes the proxies decode all of them, as long as it
lasts. What the events hold is in docs/events.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from rascal.control._call import Call
from rascal.control._hub import Hub
from rascal.control._problems import Problem
from rascal.control._ring import Wants
from rascal.control._site import Api, Stream
from rascal.errors import did_you_mean

TYPES = (
    "snapshot",
    "proxy",
    "faults",
    "fired",
    "step",
    "connection",
    "exchanges",
    "counters",
    "lever",
    "reload",
    "seed",
)
"""What can be asked for; `gap` comes to everybody."""

USUAL = tuple(name for name in TYPES if name != "exchanges")
"""What comes without asking."""

KIND = "text/event-stream; charset=utf-8"


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    hub = Hub(api.node)
    api.node.at_stop.append(hub.close)
    api.add("GET", "/api/v1/events", partial(get_events, hub))


def get_events(hub: Hub, call: Call) -> Stream:
    """What happens, as it happens."""
    given = call.query("types", "proxy", "after")
    types = _names(given.get("types"))
    _check_types(types or ())
    proxies = _names(given.get("proxy"))
    for name in proxies or ():
        call.proxy(name)
    wants = Wants(
        frozenset(USUAL if types is None else types),
        None if proxies is None else frozenset(proxies),
    )
    hub.check_room()

    def begin(request: Any) -> None:
        said = (request.getHeader(b"last-event-id") or b"").decode("latin-1")
        hub.read(request, wants, said or given.get("after", ""))

    return Stream(begin, KIND, {"X-Accel-Buffering": "no"})


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [name for part in text.split(",") if (name := part.strip())]


def _check_types(types: Iterable[str]) -> None:
    allowed = [*TYPES, "gap"]
    for name in types:
        if name not in allowed:
            near = f".{did_you_mean(name, allowed)}".rstrip(".")
            title = f"there are no events '{name[:40]}'; types: {', '.join(allowed)}{near}"
            raise Problem(422, "not-allowed", title, parameter="types", allowed=allowed)
