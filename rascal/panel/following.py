"""One run as the store has it, merged for pages: what is new since the last look.

    follower = Follower(store, "17")         # in the store's thread, as all of this module
    news = follower.read()                   # again and again; news.more: there is more to read

It reads as `rascal load attach` does: reports and events behind the last ones seen. So it shows
runs of the command line as well, and misses nothing that happened while nobody looked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rascal.errors import RascalError
from rascal.load.live import live
from rascal.load.offered import Offer
from rascal.load.plans_json import plan_from_json, shares_from_json
from rascal.load.results import Results
from rascal.load.types import Event, Report, Sample
from rascal.panel.columns import Cells, flow_cells
from rascal.panel.judging import Judging
from rascal.panel.lanes import Lanes
from rascal.panel.merging import Merged, News
from rascal.panel.starting import lives
from rascal.store.machine import host

BUDGET = 0.2
"""Seconds of one look, so that one long run does not keep the others waiting."""
POINTS = 240
"""Of the line of what the profile asks for."""
AGAIN = 5
"""Seconds that are looked at again: reports may come late."""
SAMPLES = 30
"""Exchanges of calls that failed, in one look."""
ENDLESS = 86_400.0
"""A profile without end goes on until the hard end of a day."""
PATIENCE = 900.0
"""Seconds for which an experiment may take to be judged after its load has ended."""
SHORT = 2000
"""Characters of a request or a reply."""


class Follower:
    """Reads one run. Raises StoreError if there is none, ConfigErrors if its plan is strange."""

    def __init__(self, store: Any, run: str) -> None:
        self._store = store
        self.run = store.run(run)
        self.plan = plan_from_json(dict(self.run.plan))
        members = [str(one["name"]) for one in self.run.about.get("agents", ())]
        self.results = Results(self.run.id, members)
        self.results.timeout = self.plan.timeout
        files = store.sources(self.run.id)
        self._offer: Offer | None = self._offer_of(files)
        self.lanes = Lanes()
        self.judging = Judging(self.run, self.plan, files, self.lanes)
        self.merged = Merged(self.results)
        self._unread: Iterator[tuple[int, Report]] | None = None
        self._report = self._event = 0
        self._draining = False
        self._agents = {
            name: {"name": name, "host": str(one.get("host", "")), "state": "up"}
            for name, one in zip(members, self.run.about.get("agents", ()), strict=True)
        }
        self._given: dict[str, Any] = {}
        self._bad: set[int] = set()
        """Seconds that are not to be trusted."""
        self._looked = 0
        self._replanned = True
        self._samples = 0

    def _offer_of(self, files: Mapping[str, bytes]) -> Offer | None:
        try:
            return Offer(self.plan, files)
        except RascalError:
            return None

    # ---- one look

    def read(self, budget: float = BUDGET) -> News:
        """What is new; in slices of `budget` seconds where there is much."""
        ends = time.monotonic() + budget
        self.run = self._store.run(self.run.id)
        news = News()
        for number, event in self._store.news(self.run.id, self._event):
            self._event = number
            self._take_event(event, news)
        news.more = self._read_reports(ends)
        self.merged.give(news)
        self._give_rest(news)
        return news

    @property
    def ended(self) -> bool:
        """No more load will come."""
        return bool(self.run.state != "running")

    def _judged(self) -> bool:
        """Nothing more will come: an experiment is judged after its load has ended, by the same
        process."""
        run = self.run
        if run.kind != "experiment" or run.state != "ended" or self.judging.concluded:
            return True
        here = run.host == host() and run.pid is not None and lives(run.pid)
        return not here or time.time() - (run.ended or 0.0) > PATIENCE

    def _read_reports(self, ends: float) -> bool:
        """Whether there are more than time allowed."""
        if self._unread is None:
            self._unread = self._store.reports(self.run.id, self._report)
        for number, report in self._unread:
            self._report = number
            self.merged.take(report)
            if time.monotonic() > ends:
                return True
        self._unread = None
        return False

    def _take_event(self, event: Event, news: News) -> None:
        data = event.data
        if event.agent and event.kind in ("agent_lost", "agent_back", "agent_joined"):
            lost = event.kind == "agent_lost"
            (self.results.leave if lost else self.results.join)(event.agent)
            known = self._agents.setdefault(event.agent, {"name": event.agent, "host": ""})
            known["state"] = "lost" if lost else "up"
            known["why"] = event.text if lost else ""
        self._draining |= event.kind in ("stopping", "stop_rule", "limit")
        if event.kind == "changed" and "shares" in data and self._offer is not None:
            shares = shares_from_json(data["shares"])
            self._offer.change(shares, int(data.get("second", math.ceil(event.second))))
            self._replanned = True
        elif event.kind in ("stopping", "stop_rule") and self._offer is not None:
            self._offer.stop(event.second)
            self._replanned = True
        self._replanned |= event.kind == "phase"
        self.lanes.take(event)
        self.judging.take(event)
        line = {"t": round(event.second, 3), "kind": event.kind, "text": event.text}
        if event.agent:
            line["agent"] = event.agent
        if data.get("by"):
            line["by"] = str(data["by"])
        news.log.append(line)

    # ---- the rest

    def _give_rest(self, news: News) -> None:
        second = self.second()
        if self.ended and not news.more:
            self.lanes.end(max(second, self.results.closed + 1))
            self.judging.conclude(self._store, self.run, self.results)
        news.over = self.ended and not news.more and self._judged()
        news.state = self._state(second)
        self._give("agents", self._agents_now(), news)
        self._give("phases", self.judging.phases(), news)
        self._give("faults", self.lanes.json(second), news)
        if self._replanned:
            self._replanned = False
            news.plan = self._plan()
        if not news.more:
            news.verdict = self.judging.look(self.results, ended=self.ended)
        found = self.results.samples[self._samples :][-SAMPLES:]
        self._samples = len(self.results.samples)
        news.samples = [_sample(one) for one in found]

    def _give(self, name: str, value: Any, news: News) -> None:
        if self._given.get(name) != value:
            self._given[name] = value
            setattr(news, name, value)

    def second(self) -> int:
        """The run's clock."""
        known = self.results.closed + 1
        if self.run.started is not None and not self.ended:
            return max(known, int(time.time() - self.run.started))
        return known

    def _state(self, second: int) -> dict[str, Any]:
        ends = self._ends()
        rate, users = self._offer.level(second) if self._offer is not None else (0.0, 0.0)
        status = str(self.run.state)
        if status == "running":
            if self.run.started is None:
                status = "starting"
            elif self._draining or (self._offer is not None and second > self._offer.ends):
                status = "draining"
        elif not self._judged():
            status = "judging"
        now = live(self.results, 10)
        up = sum(1 for one in self._agents.values() if one["state"] != "lost")
        return {
            "status": status,
            "outcome": self.run.outcome,
            "exit": self.run.status,
            "why": str(self.run.summary.get("why") or ""),
            "t": second,
            "closed": self.results.closed,
            "started": self.run.started,
            "ends": None if math.isinf(ends) else ends,
            "rate": round(rate, 2),
            "users": round(users, 2),
            "in_flight": now.in_flight,
            "agents": {"up": up, "want": len(self._agents)},
            "sound": {
                "ok": not now.unsound and up == len(self._agents),
                "why": {name: list(reasons) for name, reasons in now.unsound.items()},
                "seconds": self._unsound(),
            },
            "flows": {
                one.name: {
                    "rate": round(one.offered, 2),
                    "good": round(one.ok, 2),
                    "failed": round(one.failed, 2),
                    "p50": _ms(one.p50),
                    "p95": _ms(one.p95),
                    "p99": _ms(one.p99),
                    "outcomes": one.outcomes,
                }
                for one in now.flows
            },
        }

    def _ends(self) -> float:
        """When the load ends; infinity if nobody knows."""
        ends = self._offer.ends if self._offer is not None else math.inf
        planned = self.judging.ends
        if planned is not None:
            return min(ends, planned)
        return math.inf if ends >= ENDLESS else ends

    def _unsound(self) -> int:
        """Seconds so far that are not to be trusted; only the last ones are looked at again."""
        closed = self.results.closed
        for meters in self.results.meters.values():
            for second in range(self._looked, closed + 1):
                one = meters.get(second)
                if one is not None and one.unsound:
                    self._bad.add(second)
        self._looked = max(0, closed - AGAIN)
        return len(self._bad)

    def _agents_now(self) -> dict[str, Any]:
        closed = self.results.closed
        found: dict[str, Any] = {}
        for name in (*self._agents, *self.results.meters):
            if name in found:
                continue
            known = self._agents.get(name) or {"name": name, "host": "", "state": "up"}
            one: dict[str, Any] = dict(known)
            shelf = self.results.meters.get(name)
            meters = shelf.get(closed) if shelf is not None else None
            if meters is not None:
                late = meters.lateness
                one |= {
                    "cpu": round(meters.cpu, 2),
                    "busy": round(meters.busy, 2),
                    "lag": _ms(meters.lag),
                    "late": _ms(late.percentile(99)) if late.count > 0 else 0.0,
                    "in_flight": meters.in_flight,
                    "unsound": list(meters.unsound),
                }
                if meters.unsound and one["state"] == "up":
                    one["state"] = "slow"
            found[name] = one
        return found

    def _plan(self) -> dict[str, Any]:
        """The line of what the profiles ask for."""
        from rascal.language import show

        offer = self._offer
        if offer is None:
            return {"text": "", "points": [], "ends": None, "shares": []}
        ends = self._ends()
        known = not math.isinf(ends)
        last = ends if known else max(600.0, self.second() * 1.2)
        steps = min(POINTS, max(2, math.ceil(last)))
        times = [last * number / steps for number in range(steps)] + [math.nextafter(last, 0.0)]
        points = [
            [round(at, 2), *(round(one, 2) for one in offer.level(at))] for at in times if at >= 0
        ]
        shares = [
            {"scenarios": list(share.scenarios), "profile": show(share.profile)}
            for share in offer.shares
            if share.profile
        ]
        return {
            "text": "; ".join(str(share["profile"]) for share in shares),
            "points": points,
            "ends": ends if known else None,
            "shares": shares,
        }

    # ---- asked for

    def series(self, first: int, last: int, flows: list[str]) -> dict[str, list[Cells]]:
        """Rows of flows, by name."""
        found: dict[str, list[Cells]] = {}
        for name in flows:
            rows = self.results.rows("flow", name)
            found[name] = [flow_cells(at, rows[at]) for at in rows if first <= at <= last]
        return found


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _sample(one: Sample) -> dict[str, Any]:
    """A failing call, as pages show it. Secrets were masked before it was kept."""
    return {
        "kind": "call",
        "t": round(one.second, 3),
        "flow": one.flow,
        "text": f"{one.method} {one.url}".strip(),
        "out": one.outcome,
        "detail": one.detail,
        "ms": _ms(one.took),
        "agent": one.agent,
        "attempts": one.attempts,
        "request": one.request[:SHORT],
        "reply": one.reply[:SHORT],
        "fault": None,
    }
