"""What the node tells, made into events: gathered for a moment, bounded, described only then.

    told ──► gathered (at most PENDING, EACH of a kind) ──flush──► (type, proxy, data) …

The data path must not pay for its listeners, so what is told is kept as it is and described at
the flush, ten times a second at most. Of what comes too fast only so much is told one by one, the
rest is counted. If it is too much altogether, `broken` says so: everybody gets a fresh snapshot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import Logger

from rascal.control import _views as views

log = Logger()

PENDING = 2000
"""Things that are told between two flushes."""
EACH = 20
"""Connections of one proxy, and strikes of one fault, that are told one by one."""
STEPS = 100
"""Steps of one script that are told one by one."""
COMMAND = 64
"""Characters of a command."""
EXCHANGES = 100
"""Exchanges of one proxy in one event, for each FLUSH that has gone by."""

Made = tuple[str, str | None, dict[str, Any]]

CONNECTION = {
    "connection-opened": "opened",
    "connection-closed": "closed",
    "connection-failed": "failed",
    "connection-desync": "desync",
}
CHANGES = ("added", "changed", "removed", "enabled", "disabled", "restarted")
ITSELF = {"fault-expired": "expired", "fault-changed": "used up"}
"""How a fault disarms itself."""


class Happenings:
    """Gathers what the node tells until `take`.

    Attributes:
        broken: so much has happened that it was let go.
    """

    def __init__(self) -> None:
        self.broken = False
        self._count = 0
        self._later: list[Callable[[], Made]] = []
        self._latest: tuple[str, str, str] | None = None
        self._fired: dict[tuple[str, str], _Fired] = {}
        self._steps: dict[tuple[str, str], _Steps] = {}
        self._connections: dict[str, _Connections] = {}
        self._views: dict[tuple[str, str], dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return self._count > 0 or self.broken

    def hear(self, proxy: Any, what: str, about: Any) -> None:
        """Something has happened (rascal.proxy.node.Heard)."""
        if what in ("fault-fired", "fault-effective"):
            self._strike(proxy, about, what == "fault-fired")
        elif what in CONNECTION:
            self._connection(proxy, CONNECTION[what], about)
        elif what == "script-step":
            self._step(proxy, *about)
        elif what in CHANGES:
            self._change(proxy, what, about, about.name)
        elif what in ITSELF:
            self._change(proxy, ITSELF[what], _owner(proxy, about), about.name)
        elif what.startswith("proxy-"):
            change = what.removeprefix("proxy-")
            self._add(lambda: ("proxy", proxy.name, _proxy(proxy, change)))
        elif what == "panic":
            self._add(lambda: ("lever", None, views.panic(about)))
        elif what == "reload":
            self._add(lambda: ("reload", None, views.changes(about)))
        elif what == "seed":
            self._add(lambda: ("seed", None, {"seed": about}))

    def take(self) -> Iterator[Made]:
        """All that has been gathered, described."""
        later, self._later = self._later, []
        gathered: list[Any] = [
            *self._connections.values(),
            *self._fired.values(),
            *self._steps.values(),
        ]
        self._connections, self._fired, self._steps = {}, {}, {}
        self._count, self.broken, self._latest = 0, False, None
        for make in [*later, *(one.made for one in gathered)]:
            try:
                made = make()
            except Exception:
                log.failure("an event could not be told")
            else:
                yield made
        self._views = {}

    def _add(self, make: Callable[[], Made]) -> None:
        if self._room():
            self._later.append(make)

    def _room(self) -> bool:
        """Count one more; past PENDING everything is let go."""
        if self.broken:
            return False
        self._count += 1
        if self._count <= PENDING:
            return True
        self.broken = True
        self._later, self._fired, self._steps, self._connections = [], {}, {}, {}
        return False

    # ---- faults

    def _change(self, proxy: Any, change: str, one: Any, name: str) -> None:
        key = (proxy.name, name, change)
        if one is None or key == self._latest:
            return
        self._latest = key
        faults = views.fault_objects(proxy, one)  # they may leave the gate before the flush
        at = time.time()

        def make() -> Made:
            known = {"proxy": proxy.name, "name": name, "change": change, "at": round(at, 3)}
            return ("faults", proxy.name, known | {"state": self._state(proxy, one, faults)})

        self._add(make)

    def _state(self, proxy: Any, one: Any, faults: dict[str, Any]) -> dict[str, Any]:
        key = (proxy.name, one.name)
        current = proxy.installed.get(one.name)
        if current is None or faults != views.fault_objects(proxy, current):
            return views.of_faults(proxy, one, faults)
        if key not in self._views:
            self._views[key] = views.installed(proxy, current)
        return self._views[key]

    def _strike(self, proxy: Any, about: Any, strike: bool) -> None:
        fault = about.fault if strike else about
        key = (proxy.name, fault.name)
        found = self._fired.get(key)
        if found is None:
            if not self._room():
                return
            found = self._fired[key] = _Fired(proxy, fault)
        found.add(about if strike else None)

    def _step(self, proxy: Any, fault: Any, step: int) -> None:
        key = (proxy.name, fault.name)
        found = self._steps.get(key)
        if found is None:
            if not self._room():
                return
            found = self._steps[key] = _Steps(proxy, fault)
        found.add(step)

    def _connection(self, proxy: Any, change: str, about: Any) -> None:
        found = self._connections.get(proxy.name)
        if found is None:
            if not self._room():
                return
            found = self._connections[proxy.name] = _Connections(proxy.name)
        found.add(change, about)


class _Fired:
    """A fault has struck, a few times perhaps."""

    def __init__(self, proxy: Any, fault: Any) -> None:
        self.proxy = proxy.name
        self.fault = fault
        self.count = 0
        self.strikes: list[dict[str, Any]] = []
        self.at = time.time()

    def add(self, strike: Any) -> None:
        self.count += 1
        if strike is None or len(self.strikes) >= EACH:
            return
        subject = strike.subject
        found: dict[str, Any] = {
            "match": strike.n,
            "kind": strike.spec.kind.name,
            "connection": subject.connection.number,
        }
        if subject is not subject.connection:
            found |= {"n": subject.n, "command": subject.head.command[:COMMAND]}
        self.strikes.append(found)

    def made(self) -> Made:
        fault = self.fault
        data = {
            "proxy": self.proxy,
            "fault": fault.name,
            "at": round(self.at, 3),
            "count": self.count,
            "matched": fault.matched,
            "fired": fault.fired,
            "waiting": fault.waiting,
            "strikes": self.strikes,
        }
        return ("fired", self.proxy, data)


class _Steps:
    """A script has moved on."""

    def __init__(self, proxy: Any, fault: Any) -> None:
        self.proxy = proxy.name
        self.fault = fault
        self.more = 0
        self.steps: dict[int, str] = {}
        self.at = time.time()

    def add(self, step: int) -> None:
        if len(self.steps) < STEPS or step in self.steps:
            self.steps[step] = self.fault.step_states[step]
        else:
            self.more += 1

    def made(self) -> Made:
        states = self.fault.step_states
        data = {
            "proxy": self.proxy,
            "script": self.fault.name,
            "at": round(self.at, 3),
            "steps": [{"n": n + 1, "state": state} for n, state in sorted(self.steps.items())],
            "more": self.more,
            "reached": sum(state != "unused" for state in states),
            "of": len(states),
        }
        return ("step", self.proxy, data)


class _Connections:
    """Connections of one proxy have come and gone."""

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        self.events: list[dict[str, Any]] = []
        self.more: dict[str, int] = {}

    def add(self, change: str, about: Any) -> None:
        if len(self.events) >= EACH:
            self.more[change] = self.more.get(change, 0) + 1
            return
        connection = about[0] if isinstance(about, tuple) else about
        found: dict[str, Any] = {
            "change": change,
            "number": connection.number,
            "client": connection.client_address,
            "at": round(time.time(), 3),
        }
        if change == "failed":
            found |= {"how": about[1], "detail": about[2]}
        elif change == "desync":
            found["detail"] = about[1]
        elif change == "closed":
            upstream = connection.upstream
            found |= {
                "ended_by": connection.ended_by,
                "seconds": round(connection.clock.now() - connection.began, 3),
                "to_upstream": connection.client.taken,
                "to_client": 0 if upstream is None else upstream.taken,
            }
        self.events.append(found)

    def made(self) -> Made:
        data = {"proxy": self.proxy, "connections": self.events, "more": self.more}
        return ("connection", self.proxy, data)


def exchanges(proxy: Any, after: int, most: int = EXCHANGES) -> Made | None:
    """Those of a proxy that are over since number `after`, the latest `most` of them."""
    recent = proxy.recent
    new = recent.total - after
    if new <= 0:
        return None
    found: list[dict[str, Any]] = []
    for record in recent:
        if record.number <= after or len(found) >= most:
            break
        found.append(views.record(record))
    found.reverse()
    data = {"proxy": proxy.name, "exchanges": found, "more": new - len(found)}
    return ("exchanges", proxy.name, data)


def _owner(proxy: Any, fault: Any) -> Any:
    """What a fault of the gate is installed as: itself, or a recipe."""
    found = proxy.installed.get(fault.name)
    if found is not None:
        return found
    every = proxy.installed.values()
    return next((one for one in every if any(s.name == fault.name for s in one.specs)), None)


def _proxy(proxy: Any, change: str) -> dict[str, Any]:
    known = {"proxy": proxy.name, "change": change}
    return known if change == "removed" else known | {"state": views.proxy(proxy)}
