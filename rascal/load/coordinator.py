"""The one that plans and merges: from `prepare` to the summary of one run.

    gather → create → prepare → start → running → draining → ended

Reports are merged into Results as they come and kept in the store. A tick each second looks at
what others asked of the run, at stop rules, at the hard ends, at what is missing, and tells the
listener. The run has ended when every agent that is not lost has sent its
last report.

What happens to a run while it goes on is an event on its timeline. Whatever goes wrong after the
start, there is a summary at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from rascal import __version__
from rascal.errors import ConfigError, ConfigErrors
from rascal.language import show
from rascal.load.keeper import Keeper
from rascal.load.links import AgentInfo, Link
from rascal.load.losses import Losses
from rascal.load.measures import StopRules
from rascal.load.offered import Offer
from rascal.load.plan import Plan
from rascal.load.planning import with_profiles
from rascal.load.plans_json import plan_json, share_json
from rascal.load.results import Results
from rascal.load.running import Finished, Listener, Outcome, Snapshot, State
from rascal.load.summary import summarize
from rascal.load.types import Event, Report, RunStore

log = Logger()

TICK = 0.15
"""Seconds after each full second at which the coordinator looks: the reports are there then."""
AHEAD = 2
"""Changes take effect so many seconds from now: every agent has heard of them by then."""
GRACE = 15.0
"""Seconds after the last time-out in which agents must have sent their last report."""
AT_ONCE = 5.0
"""The same, when the run was stopped at once."""
CLOSING = 30.0
"""Seconds for tear-downs."""
MISSING = 10
"""Seconds after which a report that is missing is an event."""


class Coordinator:
    """One run. Use `run()` once.

    Args:
        plan: what to do; files: its bundle.
        link: the agents.
        store: where the run is kept, or None.
        clock: the reactor.
        listener: who watches.
        agents: how many agents are wanted; 0: all that are there.
        about: more for the store.
        now: the time of the day.
    """

    def __init__(
        self,
        plan: Plan,
        files: Mapping[str, bytes],
        link: Link,
        store: RunStore | None = None,
        *,
        clock: Any,
        listener: Listener | None = None,
        agents: int = 1,
        about: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.plan = plan
        self.files = files
        self.link = link
        self.listener = listener
        self.wanted = agents
        self.about = dict(about or {})
        self.clock = clock
        self.now = now
        self.results = Results()
        self.offer = Offer(plan, files)
        self.agents: dict[str, AgentInfo] = {}
        self.losses = Losses(self)
        self.state: State = "starting"
        self.outcome: Outcome = "completed"
        self.why = ""
        self.start: float | None = None
        self.requests = 0
        """Requests that were begun, over all agents, as far as reported."""
        self.keeper = Keeper(store, seconds=clock.seconds, trouble=self.event)
        self._rules = StopRules(plan.stop, plan.timeout)
        self._ended: Deferred[None] = Deferred()
        self._preparing: Deferred[None] | None = None
        self._timer: Any = None
        self._deadline = math.inf
        """Seconds of the run at which whoever is still there is not waited for any more."""
        self._stops = 0
        self._gaps: dict[tuple[str, int], float] = {}
        self._limited: dict[str, float] = {}
        """Agents that have reached a hard end, and when."""

    # ---- the run, from beginning to end

    async def run(self) -> Finished:
        """Do it. Raises only what comes before load starts."""
        try:
            found = await self.link.gather(self.wanted)
            self.agents = {info.name: info for info in found}
            about = {
                "versions": {"rascal": __version__},
                "agents": [info.json() for info in found],
                **self.about,
            }
            run = self.keeper.create(plan_json(self.plan), self.files, about)
        except Exception:
            await self._close()
            raise
        self.results = Results(run, self.agents)
        self.results.timeout = self.plan.timeout
        self._tell("began", self.keeper.run, self)
        self._set_calls()
        try:
            self._preparing = Deferred.fromCoroutine(self._begin(run))
            await self._preparing
        except Exception as error:
            return await self._not_begun(error)
        finally:
            self._preparing = None
        await self._until_ended()
        return await self._finish()

    def _set_calls(self) -> None:
        calls = self.link.calls
        calls.on_report = self._report
        calls.on_lost = self.losses.lost
        calls.on_back = self.losses.back
        calls.on_event = self._link_event

    async def _begin(self, run: str) -> None:
        if self._stops:
            raise CancelledError
        await self.link.prepare(run, self.plan, self.files)
        self.start = await self.link.start()
        self.state = "running"
        self.keeper.begin(self.now() + self.start - self.clock.seconds())
        self.event("started", f"load starts on {_counted(len(self.agents), 'agent')}", at=0.0)
        self._arm()
        self.losses.catch_up()

    async def _not_begun(self, error: Exception) -> Finished:
        """Something came between: the run is in the store already."""
        asked = isinstance(error, CancelledError)
        self.outcome = "interrupted" if asked else "refused"
        self.why = self.why or (f"stopped before load started: {error}".rstrip(": "))
        if not asked:
            said = {"outcome": self.outcome, "status": 2, "why": str(error)}
            self.keeper.finish(self.outcome, said)
            await self._close()
            raise error
        return await self._finish()

    async def _until_ended(self) -> None:
        """Wait for the last report; a cancelled wait stops the run, and is taken up again."""
        while self.state != "ended":
            try:
                await self._ended
            except CancelledError:
                self._ended = Deferred()
                self.stop("interrupted")

    async def _finish(self) -> Finished:
        self.state = "ended"
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        await self._close()
        problem = ""
        if self.start is not None:
            self._check_gaps(final=True)
            self.event("ended", f"{self.outcome}{': ' if self.why else ''}{self.why}")
        summary = summarize(self)
        problem = self.keeper.finish(self.outcome, summary)
        if problem:
            summary["warnings"].append(f"the run store does not have all of this run: {problem}")
        self._snapshot()
        return Finished(
            run=self.keeper.run,
            outcome=self.outcome,
            status=summary["status"],
            summary=summary,
            results=self.results,
        )

    async def _close(self) -> None:
        """Let the agents go, whatever they say to it."""
        try:
            await Deferred.fromCoroutine(self.link.close()).addTimeout(CLOSING, self.clock)
        except Exception as error:
            log.warn("Tear-down: {error!r}", error=error)
            if self.start is not None:
                self.event("error", f"tear-down failed: {error or type(error).__name__}")

    # ---- control (rascal.load.running.Control)

    def stop(self, why: str = "", *, now: bool = False) -> None:
        """End the run: drain; at once with `now`, or if it was asked for before."""
        self._stops += 1
        if self.state == "starting":
            self.why = why
            if self._preparing is not None:
                self._preparing.cancel()
            return
        # When nothing begins any more there is nothing left to end but the waiting.
        now = now or self._stops > 1 or self.state == "draining"
        self.end("interrupted", why or "stopped", "stopping", now=now)

    def change(self, profiles: Mapping[str, str]) -> None:
        """Other profiles, from the next second but one."""
        if self.state != "running":
            raise ConfigErrors([ConfigError("the load has ended, or has not begun yet")])
        shares = with_profiles(self.offer.shares, profiles)
        second = self.second + AHEAD
        if second >= self.offer.ends:
            raise ConfigErrors([ConfigError("the load ends before a change could take effect")])
        self.offer.change(shares, second)
        self.link.change(shares, second)
        self.event(
            "changed",
            f"from second {second}: "
            + "; ".join(f"{', '.join(one.scenarios)} {show(one.profile)}" for one in shares),
            second=second,
            shares=[share_json(share) for share in shares],
        )

    def fail(self, why: str) -> None:
        """The run cannot go on."""
        if self.outcome == "completed":
            self.outcome, self.why = "failed", why
        self.offer.stop(self.clock_of_run())
        self.event("error", why)

    def end(self, outcome: Outcome, why: str, kind: str, *, now: bool = False, **data: Any) -> None:
        """No more arrivals; the first outcome that is not "completed" stays."""
        if self.state not in ("running", "draining"):
            return
        t = self.clock_of_run()
        if self.outcome == "completed":
            self.outcome, self.why = outcome, why
        self.offer.stop(t)
        self.state = "draining"
        self.event(kind, f"{why}{', at once' if now else ''}", **data)
        self._deadline = min(self._deadline, t + (AT_ONCE if now else self.plan.timeout + GRACE))
        self.link.stop(now)

    # ---- time

    def clock_of_run(self) -> float:
        """Seconds since load started; before that negative or 0."""
        return 0.0 if self.start is None else float(self.clock.seconds()) - self.start

    @property
    def second(self) -> int:
        """The whole second that is under way."""
        return math.floor(self.clock_of_run())

    def event(
        self, kind: str, text: str, agent: str = "", at: float | None = None, **data: Any
    ) -> None:
        """Put something on the run's timeline."""
        second = round(self.clock_of_run(), 3) if at is None else at
        self._put(Event(second=second, kind=kind, text=text, agent=agent, data=data))

    def _link_event(self, event: Event) -> None:
        if event.second < 0:
            event.second = round(self.clock_of_run(), 3)
        self._put(event)

    def _put(self, event: Event) -> None:
        self.results.events.append(event)
        if self.keeper.id:
            self.keeper.event(event)
        self._tell("event", event)

    # ---- reports

    def _report(self, report: Report) -> None:
        if not self.results.add(report):
            return
        self.keeper.add(report)
        self.requests += report.meters.begun
        for event in report.events:
            if ends_early(event):
                self._limited[report.agent] = event.second
                if set(self._limited) >= set(self.losses.waited_for()):
                    self.offer.stop(max(self._limited.values()))
            self._tell("event", event)
        self.losses.report(report)
        self.check_ended()

    def check_ended(self) -> None:
        """Over, if no agent is waited for, and no report that may still come is missing."""
        if self.state not in ("running", "draining") or self.losses.waited_for():
            return
        if self.results.gaps() and self.clock_of_run() <= self._deadline:
            self._deadline = min(self._deadline, self.clock_of_run() + AT_ONCE)
            return
        self.state = "ended"
        if not self._ended.called:
            self._ended.callback(None)

    # ---- once a second

    def _arm(self) -> None:
        assert self.start is not None
        due = max(math.floor(self.clock_of_run() - TICK) + 1, 0) + TICK
        self._timer = self.clock.callLater(max(0.0, due - self.clock_of_run()), self._tick)

    def _tick(self) -> None:
        for step in (
            self._asked,
            self._judge,
            self._bounds,
            self._check_gaps,
            self._overdue,
            self._snapshot,
        ):
            if self.state == "ended":
                return
            try:
                step()
            except Exception as error:
                log.failure("Looking after run {run} failed", run=self.keeper.id)
                self.event("error", f"the coordinator stumbled: {type(error).__name__}: {error}")
        self._arm()

    def _asked(self) -> None:
        """What others asked of the run, by way of the store."""
        for request in self.keeper.requests():
            kind, why = request.get("kind"), str(request.get("why") or "")
            if kind == "stop":
                self.stop(why or "stopped from elsewhere", now=bool(request.get("now")))
            elif kind == "change":
                profiles = request.get("profiles") or {"": str(request.get("profile", ""))}
                try:
                    self.change(profiles)
                except ConfigErrors as errors:
                    self.event("error", f"the change that was asked for cannot be made: {errors}")
            elif kind == "fault" and hasattr(self.listener, "wanted"):
                self._tell("wanted", request)

    def _judge(self) -> None:
        """Stop rules; they know by themselves which seconds are complete enough."""
        if self.state != "running":
            return
        ends = self.offer.ends
        last = None if math.isinf(ends) else math.ceil(ends) - 1
        rule = self._rules.check(self.results, last)
        if rule is not None:
            self.end("stopped", f"stop rule: {show(rule)}", "stop_rule", rule=show(rule))

    def _bounds(self) -> None:
        """The hard ends, and the end of the load."""
        if self.state != "running":
            return
        t = self.clock_of_run()
        # Agents see to their part of the requests, and to the time, themselves.
        if self.requests > self.plan.max_requests and not self._limited:
            text = f"the hard end of {self.plan.max_requests:,} requests is reached"
            self.end("completed", text, "limit")
        elif t >= self.offer.ends:
            self.state = "draining"
            self._deadline = min(self._deadline, self.offer.ends + self.plan.timeout + GRACE)

    def _overdue(self) -> None:
        """Agents that should have ended long ago."""
        if self.clock_of_run() > self._deadline:
            for name in self.losses.waited_for():
                self.losses.lost(name, "it sent no last report")
            self.check_ended()

    def _check_gaps(self, final: bool = False) -> None:
        """Reports that are missing for long are an event, and one when they come after all."""
        t = self.clock_of_run()
        found = {(gap.agent, gap.first): gap for gap in self.results.gaps()}
        for key, gap in found.items():
            since = self._gaps.setdefault(key, t)
            if since >= 0 and (final or t - since >= MISSING):
                self._gaps[key] = -1.0
                many = gap.last - gap.first + 1
                self.event(
                    "reports_lost",
                    f"{_counted(many, 'report')} of agent {gap.agent} did not arrive: what it "
                    "did then is not in the results",
                    agent=gap.agent,
                    first=gap.first,
                    last=gap.last,
                )
        for key in [key for key, since in self._gaps.items() if key not in found]:
            if self._gaps.pop(key) < 0:
                self.event("note", f"missing reports of agent {key[0]} arrived after all", key[0])

    # ---- who watches

    def _snapshot(self) -> None:
        rate, users = self.offer.level(self.clock_of_run())
        self._tell(
            "snapshot",
            Snapshot(
                run=self.keeper.run,
                second=self.second,
                closed=self.results.closed,
                results=self.results,
                state=self.state,
                agents=self.agents,
                lost=tuple(self.losses.gone),
                planned=rate,
                users=users,
                ends=None if math.isinf(self.offer.ends) else self.offer.ends,
            ),
        )

    def _tell(self, what: str, *given: Any) -> None:
        """A listener that fails must not take the run with it."""
        if self.listener is None:
            return
        try:
            getattr(self.listener, what)(*given)
        except Exception:
            log.failure("The listener's {what} failed", what=what)


def _counted(many: int, what: str) -> str:
    return f"{many} {what}{'' if many == 1 else 's'}"


def ends_early(event: Event) -> bool:
    """Whether an agent says that its load is over before the profiles are."""
    return event.kind == "limit" and (
        event.text.startswith("the hard end") or "feeder" in event.data
    )
