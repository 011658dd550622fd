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

import attrs

from rascal.errors import RascalError
from rascal.load.live import live
from rascal.load.offered import Offer
from rascal.load.plans_json import plan_from_json, shares_from_json
from rascal.load.results import Results, Series
from rascal.load.types import Event, Report, Row, Sample
from rascal.panel.columns import STEPS, Cells, cells, flow_cells, mean
from rascal.panel.judging import Judging
from rascal.panel.lanes import Lanes
from rascal.panel.starting import lives
from rascal.store.machine import host

BUDGET = 0.1
"""Seconds of one look, so that one long run does not keep the others waiting."""
POINTS = 240
"""Of the line of what the profile asks for."""
AGAIN = 5
"""Seconds that are looked at again: reports may come late."""
SAMPLES = 30
"""Exchanges of calls that failed, in one look."""
PATIENCE = 900.0
"""Seconds for which an experiment may take to be judged after its load has ended."""
SHORT = 2000
"""Characters of a request or a reply."""


@attrs.define(kw_only=True)
class News:
    """What has changed. None: it has not."""

    rows: list[Cells] = attrs.Factory(list)
    """New seconds, in order."""
    amended: list[Cells] = attrs.Factory(list)
    flows: dict[int, dict[str, Cells]] = attrs.Factory(dict)
    """Of the new and amended seconds, by second and flow."""
    coarse: dict[int, dict[int, Cells]] = attrs.Factory(dict)
    """By step and number of the row."""
    state: dict[str, Any] = attrs.Factory(dict)
    phases: list[dict[str, Any]] | None = None
    faults: list[dict[str, Any]] | None = None
    agents: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    log: list[dict[str, Any]] = attrs.Factory(list)
    samples: list[dict[str, Any]] = attrs.Factory(list)
    more: bool = False
    """Not all that is there has been read yet."""
    over: bool = False
    """Nothing more will come."""


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
        self.total = Series()
        """Calls of all flows, by second."""
        self._coarse = {step: Series() for step in STEPS}
        self._due: dict[int, list[int]] = {}
        """By second, iterations that were due, and that have ended."""
        self._open: set[int] = set()
        """Seconds with iterations that have not ended."""
        self._changed: set[int] = set()
        self._rows: dict[int, Cells] = {}
        """Rows of the last seconds, and of those that are still open, as they were given."""
        self._next = 0
        """The first second that was not given yet."""
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
        self._give_rows(news)
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
            self._take(report)
            if time.monotonic() > ends:
                return True
        self._unread = None
        return False

    def _take(self, report: Report) -> None:
        if not self.results.add(report):
            return
        for (kind, _, second), row in report.rows.items():
            if kind == "scenario":
                due = self._due.setdefault(second, [0, 0])
                due[0] += row.planned
                due[1] += row.started + row.dropped
                (self._open.add if due[0] > due[1] else self._open.discard)(second)
            else:
                self.total.add(second, row)
                for step, series in self._coarse.items():
                    series.add(second // step, row)
            self._changed.add(second)

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
        self.lanes.take(event)
        self.judging.take(event)
        line = {"t": round(event.second, 3), "kind": event.kind, "text": event.text}
        if event.agent:
            line["agent"] = event.agent
        if data.get("by"):
            line["by"] = str(data["by"])
        news.log.append(line)

    # ---- rows

    def _give_rows(self, news: News) -> None:
        closed = self.results.closed
        flight = self._in_flight(closed)
        still = sum(due[0] - due[1] for at in self._open if (due := self._due[at]))
        share = min(1.0, flight / still) if still > 0 else 0.0
        # What is open may have been closed by others' calls: those seconds are looked at again.
        changed = {at for at in self._changed | self._open if 0 <= at < self._next}
        touched = set(self._changed)
        self._changed = {at for at in self._changed if at > closed}
        for second in sorted(changed):
            row = self._cells(second, share)
            if self._rows.get(second) != row:
                self._rows[second] = row
                news.amended.append(row)
                self._give_flows(second, news)
        for second in range(self._next, closed + 1):
            row = self._rows[second] = self._cells(second, share)
            news.rows.append(row)
            self._give_flows(second, news)
        self._next = max(self._next, closed + 1)
        self._give_coarse(touched, closed, news)
        for second in [at for at in self._rows if at < self._next - 300 and at not in self._open]:
            del self._rows[second]

    def _cells(self, second: int, share: float) -> Cells:
        due, ended = self._due.get(second, (0, 0))
        return cells(
            second,
            self.total.get(second) or Row(),
            still=max(0, due - ended) * share,
            in_flight=self._in_flight(second),
            arrivals=due,
            users=self._metered(second, "users"),
        )

    def _give_flows(self, second: int, news: News) -> None:
        """Nobody looks at single flows while much is read at once."""
        if second < self.results.closed - 60:
            return
        rows = {}
        for name in self.results.flows:
            row = self.results.rows("flow", name).get(second)
            if row is not None:
                rows[name] = flow_cells(second, row)
        news.flows[second] = rows

    def _give_coarse(self, touched: set[int], closed: int, news: News) -> None:
        for step, series in self._coarse.items():
            for number in sorted({at // step for at in touched if 0 <= at <= closed}):
                seconds = range(number * step, min((number + 1) * step, closed + 1))
                row = series.get(number)
                if row is None or not seconds:
                    continue
                due = [self._due.get(at, (0, 0)) for at in seconds]
                news.coarse.setdefault(step, {})[number] = cells(
                    number * step,
                    row,
                    seconds=len(seconds),
                    in_flight=mean(self._in_flight(at) for at in seconds),
                    arrivals=mean(float(one[0]) for one in due),
                    users=mean(self._metered(at, "users") for at in seconds),
                )

    def _in_flight(self, second: int) -> float:
        return self._metered(second, "in_flight")

    def _metered(self, second: int, name: str) -> float:
        there = (one.get(second) for one in self.results.meters.values())
        return float(sum(getattr(meters, name) for meters in there if meters is not None))

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
        ends = self._offer.ends if self._offer is not None else math.inf
        rate, users = self._offer.level(second) if self._offer is not None else (0.0, 0.0)
        status = str(self.run.state)
        if status == "running":
            if self.run.started is None:
                status = "starting"
            elif self._draining or second > ends:
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
        known = not math.isinf(offer.ends)
        last = offer.ends if known else max(600.0, self.second() * 1.2)
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
            "ends": offer.ends if known else None,
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
