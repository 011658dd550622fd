"""One run as pages see it: its columns, and a hub of events for those who look.

However many pages look, there is one follower (in the store's thread) and one of these. What a
page begins with (`snapshot`) and what it is told afterwards come from the same values, so a page
that was opened late shows the same as one that was there from the beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from rascal.panel.columns import (
    CLASSES,
    COLUMNS,
    KEPT_FINE,
    UNITS,
    Cells,
    bands,
    step_for,
)
from rascal.panel.hub import Hub
from rascal.panel.merging import News

LOG = 300
EXCHANGES = 60
VIEWS = 16
"""Different choices of flows that are looked at together."""
IDLE = 60.0
"""Seconds after which a run that has ended, and that nobody looks at, is let go."""
SPARK = 60
"""Seconds of the small curve in lists."""


class View:
    """The stream for those who look at certain flows beside the whole."""

    def __init__(self, hub: Hub, flows: tuple[str, ...]) -> None:
        self.hub = hub
        self.flows = flows
        self.rows: dict[str, dict[int, Cells]] = {name: {} for name in flows}
        self.whole = not flows
        """It has the rows from before it was made."""

    def take(self, news: News) -> None:
        """Rows of the flows that are looked at."""
        for second, found in news.flows.items():
            for name in self.flows:
                if name in found:
                    self.rows[name][second] = found[name]

    def of(self, second: int) -> dict[str, Cells]:
        """The flows' rows of a second."""
        return {name: rows[second] for name, rows in self.rows.items() if second in rows}


class ActiveRun:
    """A run that goes on, or one that has ended and is looked at.

    Args:
        reactor: the reactor.
        run: as JSON (rascal.panel.runs_json).
        lanes: the faults that pages see, made of those of the run.
    """

    def __init__(
        self,
        reactor: Any,
        run: Mapping[str, Any],
        lanes: Callable[[ActiveRun], list[dict[str, Any]]],
    ) -> None:
        self.reactor = reactor
        self.run = dict(run)
        self.rows: list[Cells] = []
        """By second."""
        self.coarse: dict[int, dict[int, Cells]] = {}
        self.state: dict[str, Any] = {"status": run["state"], "t": 0, "closed": -1, "flows": {}}
        self.phases: list[dict[str, Any]] = []
        self.own: list[dict[str, Any]] = []
        """The faults that the run itself knows of."""
        self.agents: dict[str, Any] = {}
        self.plan: dict[str, Any] = {}
        self.verdict: dict[str, Any] | None = None
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG)
        self.exchanges: deque[dict[str, Any]] = deque(maxlen=EXCHANGES)
        self.views: dict[tuple[str, ...], View] = {}
        self.ready = False
        """All that was there when it was opened has been read."""
        self.over = False
        self.looked = reactor.seconds()
        self._lanes = lanes
        self._faults: list[dict[str, Any]] | None = None
        self._waiting: list[Deferred[None]] = []
        self.view(())

    @property
    def id(self) -> str:
        """Its number."""
        return str(self.run["id"])

    @property
    def hub(self) -> Hub:
        """The events of the run, without single flows."""
        return self.views[()].hub

    def view(self, flows: tuple[str, ...]) -> View:
        """The stream with these flows; made if there is none."""
        found = self.views.get(flows)
        if found is None:
            for name in [n for n, one in self.views.items() if n and not one.hub.readers]:
                if len(self.views) >= VIEWS:
                    self.views.pop(name).hub.close()
            hub = Hub(self.reactor, lambda caller: self.snapshot(caller, self.views[flows]))
            found = self.views[flows] = View(hub, flows)
        self.looked = self.reactor.seconds()
        return found

    def whenever(self) -> Deferred[None]:
        """Fires once it is ready."""
        found: Deferred[None] = Deferred()
        if self.ready:
            found.callback(None)
        else:
            self._waiting.append(found)
        return found

    @property
    def forgettable(self) -> bool:
        """It has ended, and nobody looks."""
        if any(view.hub.readers for view in self.views.values()):
            self.looked = self.reactor.seconds()
            return False
        return self.over and bool(self.reactor.seconds() - self.looked > IDLE)

    def tell(self, kind: str, data: Any) -> None:
        """To all who look."""
        for view in self.views.values():
            view.hub.publish(kind, data)

    # ---- what is new

    def apply(self, news: News, run: Mapping[str, Any]) -> None:
        """Take over what the follower found, and tell it."""
        self.run = dict(run)
        for row in news.amended:
            if row[0] < len(self.rows):
                self.rows[row[0]] = row
        self.rows += news.rows
        for step, rows in news.coarse.items():
            self.coarse.setdefault(step, {}).update(rows)
        for view in self.views.values():
            view.take(news)
        self.log.extend(news.log)
        self.exchanges.extend(news.samples)
        changed = self.state != news.state
        self.state = news.state
        told = {name: getattr(news, name) for name in ("phases", "agents", "plan", "verdict")}
        for name, value in told.items():
            if value is not None:
                setattr(self, name, value)
        if news.faults is not None:
            self.own = news.faults
        if not self.ready:
            if not news.more:
                self._begin(news.over)
            return
        self._tell_rows(news)
        if news.plan is not None:
            self.tell("phase", {"phases": self.phases, "plan": self.plan})
        elif news.phases is not None:
            self.tell("phase", {"phases": self.phases})
        if news.faults is not None:
            self.refresh_faults()
        if changed:
            self.tell("state", self.state)
        if news.agents is not None:
            self.tell("agent", {"agents": self.agents})
        if news.verdict is not None:
            self.tell("verdict", self.verdict)
        if news.log:
            self.tell("log", news.log)
        if news.samples:
            self.tell("exchanges", news.samples)
        if news.over:
            self._end()

    def _begin(self, over: bool) -> None:
        self.ready = True
        for waiting in self._waiting:
            waiting.callback(None)
        self._waiting.clear()
        self.over = over

    def _end(self) -> None:
        if not self.over:
            self.over = True
            self.looked = self.reactor.seconds()
            self.gone("finished" if self.run["state"] == "ended" else "lost")

    def gone(self, why: str) -> None:
        """It has ended, its process is gone, or it was deleted."""
        where = "/runs" if why == "deleted" else f"/runs/{self.id}"
        self.tell("gone", {"run": self.id, "why": why, "url": where})

    def _tell_rows(self, news: News) -> None:
        for view in self.views.values():
            if news.amended:
                rows: dict[str, Any] = {"rows": news.amended}
                if view.flows:
                    flows = {row[0]: view.of(row[0]) for row in news.amended}
                    rows["flows"] = flows
                view.hub.publish("amend", rows)
            for row in news.rows:
                more = {"row": row, "flows": view.of(row[0])} if view.flows else row
                view.hub.publish("second", more)

    def faults(self) -> list[dict[str, Any]]:
        """The lanes: its own faults, and those that stand on the nodes now."""
        return self._lanes(self)

    def refresh_faults(self) -> None:
        """Tell the faults, if they are not what was told last."""
        faults = self._lanes(self)
        if faults != self._faults:
            self._faults = faults
            self.tell("faults", faults)

    def close(self) -> None:
        """Nobody reads it any more."""
        for view in self.views.values():
            view.hub.close()
        for waiting in self._waiting:
            waiting.cancel()
        self._waiting.clear()

    # ---- what a page begins with

    def snapshot(self, caller: Any, view: View) -> dict[str, Any]:
        """Everything so far."""
        rows, fine, drawn = self.columns()
        found: dict[str, Any] = {
            "csrf": getattr(caller, "form", ""),
            "role": getattr(caller, "role", "viewer"),
            "run": self.run,
            "spec": self.run.get("spec", {}),
            "columns": COLUMNS,
            "units": UNITS,
            "classes": CLASSES,
            "rows": rows,
            "fine": fine,
            "bands": drawn,
            "state": self.state,
            "phases": self.phases,
            "plan": self.plan,
            "faults": self._lanes(self),
            "agents": self.agents,
            "verdict": self.verdict,
            "log": list(self.log),
            "exchanges": list(self.exchanges),
        }
        if view.flows:
            found["flows"] = {
                name: [known[at] for at in sorted(known)] for name, known in view.rows.items()
            }
        return found

    def columns(
        self, first: int = 0, last: int | None = None
    ) -> tuple[list[Cells], int, dict[str, Any] | None]:
        """Rows of a window; the second from which on they are single seconds; least and most of
        the coarse ones before it. Of more than two hours the beginning is coarse."""
        ends = len(self.rows) if last is None else min(last + 1, len(self.rows))
        first = max(0, first)
        step = step_for(ends - first)
        if step == 1:
            return self.rows[first:ends], first, None
        begins = -(-first // step) * step
        fine = (ends - KEPT_FINE) // step * step
        coarse = self.coarse.get(step, {})
        rows = [coarse[at // step] for at in range(begins, fine, step) if at // step in coarse]
        least, most = bands(self.rows[begins:fine], step)
        drawn = {"step": step, "least": least, "most": most}
        return [*rows, *self.rows[fine:ends]], fine, drawn

    def brief(self) -> dict[str, Any]:
        """As lists and the overview show it."""
        verdict = self.verdict or {}
        state = {name: one for name, one in self.state.items() if name != "flows"}
        last = self.rows[-1] if self.rows else None
        return {
            **{name: self.run[name] for name in ("id", "kind", "name", "state", "labels", "by")},
            **state,
            "phase": self.phase(),
            "row": last,
            "word": verdict.get("word", ""),
            "provisional": verdict.get("provisional", True),
            "faults": [one["id"] for one in self._lanes(self) if one["on"]],
        }

    def spark(self) -> list[list[Any]]:
        """Offered and good of the last minute: [t, offered, good]."""
        return [row[:3] for row in self.rows[-SPARK:]]

    def phase(self) -> dict[str, Any] | None:
        """The phase that is on."""
        second = self.state.get("t", 0)
        for one in reversed(self.phases):
            found: dict[str, Any] = one
            if one["from"] <= second and (one["to"] is None or second < one["to"]):
                return found
        return None
