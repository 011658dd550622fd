"""The faults of a run, each with a letter: planned, really on, and how often it fired.

A lane is one fault on one proxy (or one struck container). Those of an experiment's plan come
first, in its order; others get the next letter when they are first seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from rascal.experiment.record import FaultRecord
from rascal.load.types import Event

ON, OFF, REMOVED, PLANNED = "fault_on", "fault_off", "fault_removed", "fault_planned"
KINDS = (ON, OFF, REMOVED, PLANNED)
"""Events of a run that are about a fault; their data names it as PROXY/NAME."""
NEAR = 1.0
"""Seconds within which two beginnings are the same."""


def letter(number: int) -> str:
    """A, B, … Z, AA, AB …"""
    found = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        found = chr(65 + rest) + found
    return found


@attrs.define(kw_only=True)
class Lane:
    """One fault."""

    id: str
    key: str
    """PROXY/NAME."""
    text: str = ""
    node: str = ""
    planned: list[list[float]] = attrs.Factory(list)
    was: list[list[float]] = attrs.Factory(list)
    """What had been planned, if it was taken out."""
    spans: list[list[float | None]] = attrs.Factory(list)
    fired: int = 0
    matched: int = 0
    by: str = "plan"
    """Who: the plan, or the name of whoever did it by hand."""

    def json(self, now: float) -> dict[str, Any]:
        """As pages get it; what the plan has still to do is what begins after `now`."""
        proxy, _, name = self.key.partition("/")
        open_ = bool(self.spans) and self.spans[-1][1] is None
        planned = [window for window in self.planned if window[1] > now and not self.spans]
        return {
            "id": self.id,
            "node": self.node,
            "proxy": proxy,
            "name": name,
            "text": self.text,
            "on": open_,
            "spans": [list(span) for span in self.spans],
            "planned": planned,
            "plan": [list(window) for window in self.planned or self.was],
            "fired": self.fired,
            "matched": self.matched,
            "by": self.by,
        }


class Lanes:
    """All faults of one run."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}

    def lane(self, key: str, **about: Any) -> Lane:
        """That lane; a new one with the next letter if there is none."""
        found = self.lanes.get(key)
        if found is None:
            found = self.lanes[key] = Lane(id=letter(len(self.lanes)), key=key, **about)
        return found

    def plan(self, windows: Iterable[Any]) -> None:
        """The windows of an experiment's timeline."""
        for window in windows:
            action = window.action
            one = self.lane(f"{action.service or action.on}/{action.name}", text=action.text)
            one.planned.append([window.begins, window.ends])

    def take(self, event: Event) -> bool:
        """An event of the run; whether it was about a fault."""
        if event.kind not in KINDS or not isinstance(event.data.get("fault"), str):
            return False
        data: Mapping[str, Any] = event.data
        key = data["fault"]
        text = str(data.get("text") or "")
        if not text and event.kind == ON:
            text = event.text.partition(": ")[2]
        one = self.lane(key, text=text, by=str(data.get("by") or "plan"))
        one.text = one.text or text
        one.node = one.node or str(data.get("node") or "")
        on = bool(one.spans) and one.spans[-1][1] is None
        if event.kind == PLANNED:
            times = data.get("planned")
            one.was = one.planned or one.was
            one.planned = [[float(times[0]), float(times[1])]] if times else []
        elif event.kind == ON and not on:
            one.spans.append([event.second, None])
            if data.get("by"):
                one.by = str(data["by"])
        elif event.kind in (OFF, REMOVED) and on:
            one.spans[-1][1] = event.second
        if event.kind == REMOVED:
            one.fired = int(data.get("fired", one.fired))
            one.matched = int(data.get("matched", one.matched))
        return True

    def settle(self, faults: Iterable[FaultRecord]) -> None:
        """What an experiment recorded at its end is what counts."""
        for fault in faults:
            one = self.lane(fault.name)
            others = [span for span in one.spans if abs((span[0] or 0.0) - fault.on) >= NEAR]
            one.spans = sorted([*others, [fault.on, fault.off]], key=lambda span: span[0] or 0.0)
            one.fired, one.matched = fault.fired, fault.matched

    def end(self, second: float) -> None:
        """The run is over: nothing goes on in it."""
        for one in self.lanes.values():
            for span in one.spans:
                if span[1] is None:
                    span[1] = max(second, span[0] or 0.0)

    def of(self, proxy: str) -> list[Lane]:
        """The lanes of a proxy."""
        return [one for key, one in self.lanes.items() if key.partition("/")[0] == proxy]

    def json(self, now: float) -> list[dict[str, Any]]:
        """In the order of their letters."""
        return [one.json(now) for one in self.lanes.values()]
