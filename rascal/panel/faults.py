"""Faults beside runs: the lanes that a run's page shows, and changes made by hand while it runs.

A lane is a fault that the run knows of, or one that stands on a proxy right now: so that its
switch is there before it was ever used. What is switched by hand, here or elsewhere, becomes an
event of the runs that go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rascal.panel.lanes import OFF, ON, REMOVED, letter

LEASED = "experiment-"
"""Leases of experiments begin with it; their faults tell of themselves."""
WAIT = 0.6
"""Seconds until a change that was seen counts as made elsewhere: who made it may still say so."""
CHANGES = {
    "enabled": ON, "restarted": ON, "disabled": OFF, "expired": OFF, "used up": OFF,
    "removed": REMOVED,
}  # fmt: skip
FORWARDED = ("lever", "node", "proxy")
EXCHANGES = 20
"""In one event."""


def lanes_of(active: Any, nodes: Any) -> list[dict[str, Any]]:
    """The lanes of a run, with what the nodes say now."""
    own = {f"{one['proxy']}/{one['name']}": dict(one) for one in active.own}
    over = active.over
    for node, proxy, name, fault in [] if over else standing(nodes):
        key = f"{proxy}/{name}"
        on = is_on(fault)
        one = own.get(key)
        if one is None:
            one = own[key] = {
                "id": letter(len(own)), "node": node, "proxy": proxy, "name": name,
                "text": "", "spans": [], "planned": [], "plan": [], "by": "",
            }  # fmt: skip
        one |= {
            "node": node,
            "on": on,
            "here": True,
            "text": one["text"] or str(fault.get("text") or ""),
            "fired": int(fault.get("fired") or 0),
            "matched": int(fault.get("matched") or 0),
            "form": fault.get("form", "fault"),
        }
        left = fault.get("expires_in")
        one["ends"] = None
        if on and isinstance(left, int | float) and active.state.get("started"):
            one["ends"] = round(time.time() - active.state["started"] + left, 1)
    for one in own.values():
        one.setdefault("here", False)
        one.setdefault("ends", None)
        one["away"] = None if over else _away(one, nodes, active.state.get("started"))
    return list(own.values())


def _away(lane: Mapping[str, Any], nodes: Any, started: float | None) -> dict[str, Any] | None:
    """The node of a lane, if it does not answer: its name, why, and since which second."""
    known = getattr(nodes, "nodes", {})
    node = known.get(lane.get("node", "")) or next(
        (one for one in known.values() if lane["proxy"] in (getattr(one, "faults", None) or {})),
        None,
    )
    if node is None or getattr(node, "state", "up") == "up":
        return None
    since = max(0.0, getattr(node, "since", 0.0) - (started or time.time()))
    return {"node": str(node.name), "why": str(getattr(node, "why", "")), "since": round(since, 1)}


def is_on(fault: Mapping[str, Any]) -> bool:
    """Whether it would strike now."""
    return bool(fault.get("armed", fault.get("enabled")))


def standing(nodes: Any) -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """Faults on the proxies of all nodes: node, proxy, name, the fault."""
    found = []
    for node in list(getattr(nodes, "nodes", {}).values()):
        faults = getattr(node, "faults", None) or {}
        for proxy, known in faults.items():
            if isinstance(known, Mapping):
                found += [
                    (str(node.name), str(proxy), str(name), fault)
                    for name, fault in known.items()
                    if isinstance(fault, Mapping)
                ]
    return found


class Noting:
    """Hears what happens on the nodes, for the runs that go on."""

    def __init__(self, runs: Any) -> None:
        self.runs = runs
        self._noted: dict[tuple[str, str], float] = {}
        self._timers: list[Any] = []

    def noted(self, text: str, data: Mapping[str, Any]) -> None:
        """Somebody has changed a fault here."""
        proxy, name = str(data["proxy"]), str(data["name"])
        self._noted[proxy, name] = self.runs.reactor.seconds()
        kind = REMOVED if data.get("removed") else ON if data.get("on") else OFF
        self._record(kind, text, data, time.time())

    def begun(self, active: Any) -> None:
        """A run has begun: what is on already is on from its first second."""
        known = {f"{one['proxy']}/{one['name']}" for one in active.own}
        for node, proxy, name, fault in standing(self.runs.panel.nodes):
            leased = str(fault.get("lease") or "").startswith(LEASED)
            if not is_on(fault) or leased or f"{proxy}/{name}" in known:
                continue
            text = str(fault.get("text") or "")
            data = {"node": node, "proxy": proxy, "name": name, "text": text}
            told = f"{proxy}/{name} was on before: {text}"
            self._record(ON, told, data, active.state["started"], active.id)

    def _record(
        self, kind: str, text: str, data: Mapping[str, Any], at: float, run: str = ""
    ) -> None:
        more = {key: data[key] for key in ("node", "text", "by", "fired", "matched") if key in data}
        fault = f"{data['proxy']}/{data['name']}"
        self.runs.record(kind, text, {**more, "fault": fault, "hand": True}, at, run)

    def heard(self, kind: str, data: Any) -> None:
        """An event of the panel's hub."""
        if not isinstance(data, Mapping) or not self.runs.active:
            return
        if kind in ("faults", "fired", "counters", "node"):
            self._refresh()
        if kind == "faults":
            self._fault(data)
        elif kind == "exchanges":
            self._exchanges(data)
        elif kind in FORWARDED:
            for active in self._going():
                active.tell(kind, data)

    def _going(self) -> list[Any]:
        return [one for one in self.runs.active.values() if one.ready and not one.over]

    def _refresh(self) -> None:
        for active in self._going():
            active.refresh_faults()

    def _fault(self, data: Mapping[str, Any]) -> None:
        kind = CHANGES.get(str(data.get("change")))
        state = data.get("state") or {}
        if not isinstance(state, Mapping):
            return
        if kind is None and data.get("change") == "added" and state.get("enabled"):
            kind = ON
        lease = str(state.get("lease") or "")
        if kind is None or lease.startswith(LEASED) or "proxy" not in data:
            return
        at = float(data.get("at") or time.time())
        call = self.runs.reactor.callLater(WAIT, self._elsewhere, kind, dict(data), at)
        self._timers = [one for one in self._timers if one.active()]
        self._timers.append(call)

    def _elsewhere(self, kind: str, data: dict[str, Any], at: float) -> None:
        """Nobody here has said that it was them."""
        now = self.runs.reactor.seconds()
        key = (str(data["proxy"]), str(data["name"]))
        self._noted = {one: when for one, when in self._noted.items() if now - when < 3 * WAIT}
        if key in self._noted and data["change"] not in ("expired", "used up"):
            return
        if self._planned(f"{key[0]}/{key[1]}"):
            return
        text = str((data.get("state") or {}).get("text") or "")
        told = f"{key[0]}/{key[1]} is {data['change']}" + (f": {text}" if text else "")
        self._record(kind, told, {**data, "text": text}, at)

    def _planned(self, key: str) -> bool:
        """An experiment that goes on has this fault in its plan, and tells of it itself."""
        return any(
            one["plan"]
            and f"{one['proxy']}/{one['name'].partition('.')[0]}" == key.partition(".")[0]
            for active in self._going()
            for one in active.own
        )

    def _exchanges(self, data: Mapping[str, Any]) -> None:
        for active in self._going():
            started = active.state.get("started")
            if started is None:
                continue
            letters = {(one["proxy"], one["name"]): one["id"] for one in self.runs._lanes(active)}
            found = []
            for one in list(data.get("exchanges") or ())[-EXCHANGES:]:
                if not isinstance(one, Mapping):
                    continue
                at = one.get("at") or one.get("started") or data.get("at") or time.time()
                struck = one.get("faults") or ()
                names = [str(name) for name in struck] if isinstance(struck, list) else []
                known = [letters.get((str(data.get("proxy")), name)) for name in names]
                with suppress(TypeError, ValueError):
                    found.append(
                        {
                            **one,
                            "kind": "exchange",
                            "t": round(float(at) - started, 3),
                            "node": data.get("node"),
                            "proxy": data.get("proxy"),
                            "fault": next((one for one in known if one), None),
                        }
                    )
            if found:
                active.exchanges.extend(found)
                active.tell("exchanges", found)

    def close(self) -> None:
        """No timer is left."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()
