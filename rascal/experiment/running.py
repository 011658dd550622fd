"""One experiment from its file to its verdict: load and faults on one clock, then the judge.

    reach the nodes → install the faults, disarmed → learn who uses what → load starts → phases →
    (stuck: escape probe · unsure: longer recovery) → drain → rollback → invariants → judge

Whatever happens after the faults were installed, they are removed again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rascal.containers import Containers
from rascal.control.client import AsyncClient
from rascal.errors import RascalError
from rascal.experiment import replanning
from rascal.experiment.asking import Asked, ask, ask_until
from rascal.experiment.conductor import Conductor
from rascal.experiment.errors import ExperimentError
from rascal.experiment.expectation import Expectation
from rascal.experiment.judge import Verdict, judge
from rascal.experiment.loading import levels, read_load
from rascal.experiment.objectives import ObjectiveResult, phase_objectives
from rascal.experiment.probing import Probe
from rascal.experiment.record import InvariantRecord, Record
from rascal.experiment.recording import KEY, Kept, record_of
from rascal.experiment.specification import Check, Experiment
from rascal.experiment.statistics import UNSURE
from rascal.experiment.timeline import Timeline, timeline_of
from rascal.experiment.words import figures, sentence
from rascal.load.masking import hidden
from rascal.load.plan import Plan
from rascal.load.results import KEPT_OPEN, Results
from rascal.load.running import Control, Finished, Snapshot, run_load
from rascal.load.types import Event

log = Logger()

STOPPED, INTERRUPTED, INVALID = 4, 130, 3
EARLY = {"aborted": INVALID, "failed": INVALID, "stopped": STOPPED, "interrupted": INTERRUPTED}
"""The exit code, by how its load ended before its time."""
EVERY = 1.0
"""Seconds between two asks of a check that is a stop rule."""
BEFORE = 2.0
"""Seconds before the fault at which invariants are asked a second time."""
OVER = "pause for 1s"
"""The profile with which a load that has no end ends."""

State = Literal["preparing", "warm-up", "baseline", "fault", "recovery", "probing", "ending"]


class Watcher(Protocol):
    """Who watches an experiment; all that a load run tells comes too."""

    def began(self, run: str, control: Control) -> None: ...
    def snapshot(self, snapshot: Snapshot) -> None: ...
    def event(self, event: Event) -> None: ...
    def state(self, state: State, text: str) -> None:
        """Another phase has begun, or something is waited for."""

    # A watcher may also have `conducts(conductor, kept)`: it is called once, when the faults are
    # installed, for whoever wants to see what becomes of them.


@attrs.frozen(kw_only=True)
class Concluded:
    """An experiment that has ended."""

    run: str
    verdict: Verdict | None
    """None if it was ended before it could be judged."""
    sentence: str
    status: int
    """The exit code (design: 0 as expected · 1 worse, or an objective failed · 3 invalid or cannot
    tell · 4 stopped by a safety rule · 130 interrupted)."""
    objectives: tuple[ObjectiveResult, ...]
    finished: Finished
    kept: Kept
    record: Record | None
    timeline: Timeline
    plan: Plan
    why: str = ""


def run_experiment(
    reactor: Any,
    experiment: Experiment,
    *,
    link: Any = None,
    agents: int = 1,
    store: Any = None,
    watcher: Watcher | None = None,
    allow: Sequence[str] = (),
    clients: Mapping[str, AsyncClient] | None = None,
    containers: Containers | None = None,
    lenient: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Deferred[Concluded]:
    """Run an experiment.

    Args:
        reactor: the reactor.
        experiment: what to do.
        link, agents, store: as for rascal.load.running.run_load.
        watcher: who watches.
        allow: hosts off loopback that load may be sent to.
        clients, containers: the nodes and the engine, if they are there already.
        lenient: where several verdicts are possible, the named one alone decides the status.
        about: more for the store.

    Fails before load starts with ConfigErrors, ExperimentError or another RascalError that is one
    line for the user. After that it gives a Concluded whatever happens.
    """
    running = _Running(
        reactor, experiment, link, agents, store, watcher, allow, clients, containers, about
    )
    return Deferred.fromCoroutine(running.run(lenient))


class _Running:
    """One run of an experiment; also the listener of its load."""

    def __init__(
        self,
        reactor: Any,
        experiment: Experiment,
        link: Any,
        agents: int,
        store: Any,
        watcher: Watcher | None,
        allow: Sequence[str],
        clients: Mapping[str, AsyncClient] | None,
        containers: Containers | None,
        about: Mapping[str, Any] | None,
    ) -> None:
        self.reactor = reactor
        self.experiment = experiment
        self.link, self.agents, self.store, self.watcher = link, agents, store, watcher
        self.about = dict(about or {})
        self.timeline = timeline_of(experiment)
        self.plan, self.book = read_load(experiment, self.timeline, allow)
        self.results: Results | None = None
        self.control: Any = None
        self.why = ""
        self.stopped = 0
        """The status, if it was ended before its time."""
        self.kept = Kept(
            name=experiment.name,
            text="",
            phases=dict(self.timeline.phases),
            uses=_listed(experiment.uses),
            deadlines=dict(experiment.deadlines),
            timeout=self.plan.timeout,
            expect=str(experiment.expect or ""),
            variables=hidden(experiment.variables),
        )
        self.before: dict[str, Asked] = {}
        self._steps: Deferred[None] | None = None
        self._looks: list[Deferred[None]] = []
        self.conductor = Conductor(
            reactor,
            experiment,
            self.timeline,
            run=f"{experiment.name}-{secrets.token_hex(3)}",
            tell=self.tell,
            trouble=self.trouble,
            clients=clients,
            containers=containers,
        )

    # ---- from beginning to end

    async def run(self, lenient: bool) -> Concluded:
        experiment = self.experiment
        self.said("preparing", "reaching the nodes, installing the faults")
        await self.conductor.prepare()
        conducts = getattr(self.watcher, "conducts", None)
        if conducts is not None:
            conducts(self.conductor, self.kept)
        try:
            await self.learn()
            for check in experiment.invariants:
                self.before[check.name] = await self.asked(check)
            finished = await self.loaded()
            self.ended_early(finished)
            self.said("ending", "removing the faults")
            self.kept.faults = list(await self.conductor.end())
            if not self.stopped:
                await self.after()
        finally:
            await self.conductor.end()
            self.book.unload()
        return self.concluded(finished, lenient)

    async def learn(self) -> None:
        """Which flows use which dependency, if nobody says."""
        if self.kept.uses is not None or not self.experiment.learn:
            return
        from rascal.experiment.learning import learn

        self.said("preparing", "learning which flows use which dependency")
        found = await learn(self.reactor, self.plan, self.book, self.conductor.clients)
        self.kept.uses, self.kept.learned = found, True
        struck = [name for name in self.experiment.dependencies if name in found]
        expected = self.experiment.expect
        proves_nothing = expected is not None and str(expected) == "exactly invalid"
        if struck and not any(found[name] for name in struck) and not proves_nothing:
            raise ExperimentError(
                f"no flow sends anything to {' or '.join(struck)}: one user went through all "
                "scenarios, and its calls reached "
                f"{', '.join(name for name, flows in found.items() if flows) or 'no proxy'}. Is "
                "the application pointed at the proxy? If it is, say who uses what with 'uses:'"
            )

    async def loaded(self) -> Finished:
        """The load from its first to its last call."""
        about = {"kind": "experiment", **self.about}
        loading = run_load(
            self.reactor,
            self.plan,
            {**self.book.files, **self._files()},
            link=self.link,
            agents=self.agents,
            store=self.store,
            listener=self,
            about=about,
        )
        try:
            return await loading
        finally:
            self.control = None  # the run takes no more events
            for waiting in (self._steps, *self._looks):
                if waiting is not None and not waiting.called:
                    waiting.cancel()

    def _files(self) -> dict[str, bytes]:
        """The experiment's own file, kept with the scenarios."""
        try:
            with open(self.experiment.path, "rb") as file:
                data = file.read()
        except OSError:
            return {}
        self.kept.text = data.decode("utf-8", "replace")
        return {"experiment.yml": data}

    async def after(self) -> None:
        """The invariants once more; some have a while until they must hold."""
        for check in self.experiment.invariants:
            before = self.before[check.name]
            value = before.value if check.test == "unchanged" else None
            found = await ask_until(
                check, reactor=self.reactor, target=self.plan.target, before=value
            )
            self.tell("note", f"after: {check.name}: {found.text}", {"holds": found.holds})
            self.kept.invariants.append(
                InvariantRecord(
                    name=check.name, before=before.holds, after=found.holds, found=found.text
                )
            )

    def ended_early(self, finished: Finished) -> None:
        """The load was ended before its time: nothing is asked and nothing judged any more."""
        if not self.stopped:
            self.stopped = EARLY.get(finished.outcome, 0)
        self.why = self.why or str(finished.summary.get("why", ""))

    def concluded(self, finished: Finished, lenient: bool) -> Concluded:
        """Judge it, and keep all of it."""
        for name, watch in self.conductor.watches.items():
            self.kept.clocks[name] = (watch.clock.offset, watch.clock.error)
            for proxy, seconds in watch.forwarded.items():
                self.kept.work[proxy] = dict(seconds)
            for (proxy, fault), strikes in watch.strikes.items():
                self.kept.strikes[f"{proxy}/{fault}"] = strikes
        verdict = record = None
        text = f"The experiment was ended before it could be judged: {self.why}."
        objectives: tuple[ObjectiveResult, ...] = ()
        status = self.stopped
        if not self.stopped:
            record = record_of(self.kept, finished.results)
            verdict = judge(record, self.experiment.thresholds)
            text = sentence(verdict, record)
            objectives = phase_objectives(
                self.experiment.objectives, finished.results, self.kept, verdict
            )
            status = status_of(verdict, self.experiment.expect, objectives, lenient=lenient)
        self.keep(finished.run, verdict, text, status)
        return Concluded(
            run=finished.run,
            verdict=verdict,
            sentence=text,
            status=status,
            objectives=objectives,
            finished=finished,
            kept=self.kept,
            record=record,
            timeline=self.timeline,
            plan=self.plan,
            why=self.why,
        )

    def keep(self, run: str, verdict: Verdict | None, text: str, status: int) -> None:
        """Put it into the store, beside its load run."""
        if self.store is None or not run:
            return
        word = {"word": verdict.name if verdict else "", "sentence": text, "status": status}
        word |= figures(verdict) if verdict else {}
        try:
            self.store.put(run, KEY, self.kept.json())
            self.store.put(run, "verdict", word)
        except RascalError as error:
            log.warn("The verdict could not be kept: {error}", error=error)

    # ---- what the load tells (rascal.load.running.Listener)

    def began(self, run: str, control: Control) -> None:
        self.control = control
        if self.watcher is not None:
            self.watcher.began(run, control)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.results = snapshot.results
        if self.watcher is not None:
            self.watcher.snapshot(snapshot)

    def event(self, event: Event) -> None:
        if event.kind == "started" and self._steps is None:
            self.conductor.begin(self.control.start)
            if self.kept.learned:
                self.tell("note", "learned which flows use what", {"uses": self.kept.uses})
            self._steps = self._guarded(self.steps())
            rules = [rule for rule in self.experiment.stop if isinstance(rule, Check)]
            self._looks = [self._guarded(self.look(rule)) for rule in rules]
        if event.kind == "agent_lost":
            self.kept.troubles.append(event.text)
        if self.watcher is not None:
            self.watcher.event(event)

    def wanted(self, request: Mapping[str, Any]) -> None:
        """Another time for a planned fault (rascal.experiment.replanning)."""
        try:
            replanning.asked(self.conductor, dict(request))
        except ExperimentError as error:
            self.tell("error", f"the plan is not changed: {error}", {})

    # ---- the phases

    def _guarded(self, coroutine: Any) -> Deferred[None]:
        """Its failure ends the experiment; it is nobody else's."""
        running: Deferred[None] = Deferred.fromCoroutine(coroutine)

        def failed(failure: Any) -> None:
            if not failure.check(CancelledError):
                log.failure("a step of the experiment failed", failure)
                self.trouble(f"{failure.type.__name__}: {failure.getErrorMessage()}")

        return running.addErrback(failed)

    @property
    def now(self) -> float:
        """Seconds of the run."""
        return float(self.reactor.seconds()) - float(self.control.start)

    async def until(self, second: float) -> None:
        """Wait for a moment of the run."""
        await deferLater(self.reactor, max(0.0, second - self.now), lambda: None)

    async def steps(self) -> None:
        """Walk through the phases, and decide what comes after them."""
        for name, (begin, end) in self.timeline.phases.items():
            if end <= begin:
                continue
            await self.until(begin)
            self.said(name, f"{end - begin:g} s")  # type: ignore[arg-type]
            if name == "baseline":
                await self.until(max(begin, end - BEFORE))
                await self.again()
        await self.until(self.timeline.ends)
        await self.settled(self.timeline.ends)
        verdict = self.look_now()
        if verdict is not None and _unsure_of_stuck(verdict):
            await self.extend()
            verdict = self.look_now()
        if verdict is not None and verdict.word == "stuck" and self.experiment.probe:
            await Probe(self, verdict).run()
        self.said("ending", "the load ends")
        self.change(OVER)

    def change(self, profile: str | Mapping[str, str]) -> None:
        """Another load for all shares."""
        names = levels(self.plan, 0.0)
        self.control.change(
            dict.fromkeys(names, profile) if isinstance(profile, str) else dict(profile)
        )

    async def again(self) -> None:
        """What must hold is asked under load too, before anything goes wrong."""
        for check in self.experiment.invariants:
            found = await self.asked(check)
            if not found.holds and self.before[check.name].holds:
                self.before[check.name] = found

    async def asked(self, check: Check) -> Asked:
        """Ask, and tell."""
        known = self.before.get(check.name)
        before = known.value if known is not None and check.test == "unchanged" else None
        found = await ask(check, reactor=self.reactor, target=self.plan.target, before=before)
        self.tell("note", f"before: {check.name}: {found.text}", {"holds": found.holds})
        return attrs.evolve(found, value=known.value) if known is not None else found

    async def settled(self, second: float) -> None:
        """Until every iteration that began before `second` has ended; at most a time-out."""
        ends = second + self.plan.timeout + 2
        while self.now < ends and self.open_before(second):
            await self.until(self.now + 0.25)

    def open_before(self, second: float) -> bool:
        """Whether an iteration of an earlier second is still under way, as far as is known."""
        results = self.results
        if results is None or results.closed < second:
            return True
        for name in results.scenarios:
            rows = results.rows("scenario", name)
            # Older rows are packed; to open them all four times a second would be dear.
            since = second - max(KEPT_OPEN, self.plan.timeout)
            recent = (rows[at] for at in rows if since <= at < second)
            if any(row.planned > row.started + row.dropped for row in recent):
                return True
        return False

    def look_now(self) -> Verdict | None:
        """The verdict so far; invariants are not asked yet, so they count as holding."""
        if self.results is None:
            return None
        kept = attrs.evolve(
            self.kept,
            invariants=[],
            faults=[one.record() for one in self.conductor.standings],
            troubles=[],
        )
        # Whether a fault fired is only known when it is removed.
        kept.faults = [attrs.evolve(fault, fired=1) for fault in kept.faults]
        return judge(record_of(kept, self.results), self.experiment.thresholds)

    async def extend(self) -> None:
        """Watch the recovery for as long again, once."""
        begin, end = self.kept.phases["recovery"]
        self.kept.phases["recovery"] = (begin, end + (end - begin))
        self.kept.looks = 2
        self.said("recovery", f"unsure whether it came back: {end - begin:g} s more")
        self.tell("note", "the recovery is watched for as long again", {})
        await self.until(self.kept.phases["recovery"][1])
        await self.settled(self.kept.phases["recovery"][1])

    # ---- what ends it before its time

    async def look(self, rule: Check) -> None:
        """Ask a stop rule's question again and again."""
        failing: float | None = None
        while True:
            found = await ask(rule, reactor=self.reactor, target=self.plan.target)
            failing = None if found.holds else self.now if failing is None else failing
            if failing is not None and self.now - failing >= rule.lasts:
                self.stop(STOPPED, f"stop rule '{rule.name}': {found.text}")
                return
            await self.until(self.now + EVERY)

    def trouble(self, why: str) -> None:
        """The experiment cannot go on."""
        self.stop(STOPPED if "panic" in why else INVALID, why)

    def stop(self, status: int, why: str) -> None:
        """End it; the first reason stays."""
        if self.stopped:
            return
        self.stopped, self.why = status, why
        if self.control is not None:
            self.control.stop(why)

    # ---- telling

    def tell(self, kind: str, text: str, data: Mapping[str, Any]) -> None:
        """Put something on the run's timeline."""
        known = getattr(self.control, "event", None)
        if known is not None and getattr(self.control, "start", None) is not None:
            known(kind, text, **data)

    def said(self, state: State, text: str) -> None:
        if self.control is not None and state not in ("preparing", "ending"):
            self.tell("phase", f"{state}: {text}", {"phase": state})
        if self.watcher is not None:
            self.watcher.state(state, text)


def _unsure_of_stuck(verdict: Verdict) -> bool:
    """Whether it came back cannot be told."""
    return any(rule.verdict == "stuck" and rule.answer == UNSURE for rule in verdict.rules)


def status_of(
    verdict: Verdict,
    expect: Expectation | None,
    objectives: Sequence[ObjectiveResult],
    *,
    lenient: bool = False,
) -> int:
    """The exit code of a judged experiment."""
    if verdict.word == "invalid" and (expect is None or not expect.exactly):
        return INVALID
    status = expect.status(verdict, lenient=lenient) if expect is not None else 0
    if status == 0 and any(not one.kept for one in objectives):
        return 1
    return status


def _listed(uses: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]] | None:
    return None if uses is None else {name: list(flows) for name, flows in uses.items()}
