"""What happens, as it happens: server-sent events (WHATWG HTML, section 9.2).

GET          /api/v1/events?types=&proxy=&after=

`types` and `proxy` are lists with commas. A reader that comes back says `Last-Event-ID` (browsers
do) or `after` and gets what it has missed; if that cannot be had any more, `gap` says so. Ids are
EPOCH-NUMBER. Asking for `exchanges` by name makes the proxies decode all of them, as long as it
lasts. What the events hold is in docs/events.md.
"""

from __future__ import annotations

from collections.abc import Iterable

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

QUERY = {
    "types": {
        "type": "string",
        "description": f"only these, with commas: {', '.join((*TYPES, 'gap'))}; "
        "without it all but exchanges",
    },
    "proxy": {"type": "string", "description": "of these proxies only, with commas"},
    "after": {"type": "string", "description": "resume after the event with this id"},
}


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    hub = Hub(api.node)
    api.node.at_stop.append(hub.close)

    def get(call: Call) -> Stream:
        """What happens, as it happens: server-sent events."""
        return get_events(hub, call)

    api.add("GET", "/api/v1/events", get, kind=KIND, query=QUERY)


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
    after = call.header("last-event-id") or given.get("after", "")
    headers = {"X-Accel-Buffering": "no"}
    return Stream(lambda request: hub.read(request, wants, after), KIND, headers)


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
