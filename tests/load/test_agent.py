"""An agent's run on a clock: orders in order, pauses, a coordinator that is not heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from rascal.errors import ConfigError, ConfigErrors, LoadError
from rascal.language import parse
from rascal.load import reports
from rascal.load.agent_options import AgentOptions
from rascal.load.bundle import pack
from rascal.load.clocks import Offset
from rascal.load.guard import Guard
from rascal.load.job import END_SECONDS, IDLE_ORPHAN, STATES, Job
from rascal.load.messages import LOST_SECONDS, Message, Outbox, Seal
from rascal.load.places import Place
from rascal.load.plan import Plan, Share
from rascal.load.plans_json import share_json
from rascal.load.types import Report
from rascal.load.work import NOBODY

SHARE = Share(scenarios=("look",), profile=parse("profile", "hold 5/s for 9s"))
PLAN = Plan(file="look.py", shares=(SHARE,), target="http://127.0.0.1:1")
FILES = {"look.py": b"#"}


class Worker:
    """In place of book, world and engine."""

    def __init__(self, reactor: Any, clock: Any, options: Any, emit: Any, **named: Any) -> None:
        self.clock, self.emit, self.named = clock, emit, named
        self.did: list[tuple[Any, ...]] = []
        self.trouble: Exception | None = None
        self.loading: Deferred[None] | None = None
        self.done: Deferred[None] = Deferred()

    async def load(self, bundle: Any, *, check_target: bool) -> None:
        self.did.append(("load", bundle.run, dict(bundle.files), check_target))
        if self.loading is not None:
            await self.loading
        if self.trouble is not None:
            raise self.trouble

    async def set_up(self, run: bool) -> None:
        self.did.append(("set_up", run))
        if self.trouble is not None:
            raise self.trouble

    def start(self, at: float) -> Deferred[None]:
        self.did.append(("start", at))
        return self.done

    def change(self, shares: Sequence[Share], second: int) -> None:
        self.did.append(("change", shares, second))

    def reshare(self, members: Sequence[int], second: int) -> None:
        self.did.append(("reshare", tuple(members), second))

    def stop(self, now: bool = False) -> None:
        self.did.append(("stop", now))
        if now:
            self.finish()

    def event(self, kind: str, text: str) -> None:
        self.did.append(("event", kind, text))

    async def tear_down(self, run: bool) -> None:
        self.did.append(("tear_down", run))

    def finish(self) -> None:
        """The last report is out."""
        if not self.done.called:
            self.done.callback(None)


class Said:
    """In place of a Writer: everything that was said."""

    address = ("from", "sess", "inst")

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.redis = self

    def flush(self) -> None:
        pass

    def command(self, *words: Any, seconds: float = 0.0) -> Deferred[Any]:
        return succeed(b"PONG")

    @property
    def all(self) -> list[Message]:
        return [Message.decode(body) for _, body in self.outbox._kept]

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.all]


class Bench:
    """A job with everything around it."""

    def __init__(self, seal: Seal | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(50)
        self.said = Said()
        self.over: list[Job] = []
        self.worker: Worker | None = None
        self.trouble: Exception | None = None
        self.loading: Deferred[None] | None = None
        seal = seal or Seal("", "bundle")
        self.bundle = pack("sess", "17", PLAN, FILES, seal=seal, now=1050.0)
        options = AgentOptions(place=Place(path="/r.sock"), name="a", orphan=20.0)
        self.job = Job(
            self.clock,
            options,
            self.make,
            self.said,  # type: ignore[arg-type]
            fetch=lambda: succeed(self.bundle),
            offset=lambda: succeed(Offset(1000.0, 0.001)),
            on_over=self.over.append,
        )

    def make(self, *given: Any, **named: Any) -> Worker:
        self.worker = Worker(*given, **named)
        self.worker.trouble, self.worker.loading = self.trouble, self.loading
        return self.worker

    def order(self, kind: str, **data: Any) -> None:
        self.job.take(Message(kind, data))

    def prepare(self) -> None:
        self.order("prepare", run="17", name="a-2", index=1, members=[0, 1], check=False)

    def running(self) -> Worker:
        """Bring it to where it runs; second 0 is at 52."""
        self.prepare()
        self.order("set_up", run=False)
        self.order("start", at=1052.0)
        assert self.worker is not None
        self.job.guard.start()
        self.hear()
        return self.worker

    def hear(self) -> None:
        """The coordinator's pulse."""
        self.job.pulse(self.job.pulses + 1, 0)

    def advance(self, seconds: float, *, alive: bool = True) -> None:
        """Time goes by, with beats; a pulse with each if the coordinator is alive."""
        for _ in range(round(seconds / 0.5)):
            self.clock.pump([0.1] * 5)
            if alive:
                self.hear()
            self.job.look()


def test_a_run_from_enlisting_to_release() -> None:
    bench = Bench()
    worker = bench.running()
    assert worker.named == {"name": "a-2", "index": 1, "members": (0, 1)}
    bench.order("change", shares=[share_json(SHARE)], second=3)
    bench.order("reshare", members=[1], second=4)
    worker.emit(Report(run="17", agent="a-2", sequence=0, second=0))
    bench.order("stop", now=False)
    worker.finish()
    assert bench.job.state == "ended"
    bench.order("release", run=True)
    assert worker.did == [
        ("load", "17", FILES, False),
        ("set_up", False),
        ("start", 52.0),
        ("change", (SHARE,), 3),
        ("reshare", (1,), 4),
        ("stop", False),
        ("tear_down", True),
    ]
    assert bench.said.kinds == ["prepared", "ready", "started", "report", "ended", "released"]
    assert bench.said.all[2].data == {"at": 52.0, "late": False}
    assert reports.decode(bench.said.all[3].payload).agent == "a-2"
    assert bench.over == [bench.job] and bench.job.state == "over"


@pytest.mark.parametrize("kind", ["set_up", "start", "change", "stop", "reshare"])
def test_orders_out_of_order_are_refused_and_nothing_is_done(kind: str) -> None:
    bench = Bench()
    bench.order(kind, run=True, at=0.0, shares=[], second=0, members=[])
    assert bench.worker is None
    assert bench.said.all[0].data["lines"] == [f"it was told to {kind} while enlisted"]


@pytest.mark.parametrize("kind", ["", "take", "release_", "__init__", "look"])
def test_what_is_no_order_is_not_taken(kind: str) -> None:
    bench = Bench()
    bench.order(kind)
    assert bench.said.kinds == ["failed"] and kind not in STATES


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (ConfigErrors([ConfigError("wrong", path="x.py", line=3)]), "config", "x.py:3: wrong"),
        (LoadError("no such thing"), "load", "no such thing"),
        (ZeroDivisionError("by zero"), "load", "ZeroDivisionError: by zero"),
    ],
)
def test_what_cannot_be_loaded_is_said_and_the_agent_can_be_released(
    error: Exception, kind: str, line: str
) -> None:
    bench = Bench()
    bench.trouble = error
    bench.prepare()
    assert bench.said.all[0].data == {"error": kind, "lines": [line]}
    bench.order("set_up", run=True)  # not taken, and not said twice
    assert bench.said.kinds == ["failed"]
    bench.order("release", run=False)
    assert bench.said.kinds == ["failed", "released"] and bench.over


def test_a_bundle_that_is_not_ours_is_refused() -> None:
    bench = Bench(Seal("a token that is long enough", "bundle"))
    bench.prepare()
    assert "the bundle is refused" in bench.said.all[0].data["lines"][0]
    assert bench.said.all[0].data["error"] == "coordination"
    assert bench.worker is None


def test_a_release_ends_what_is_being_loaded() -> None:
    bench = Bench()
    cancelled: list[bool] = []
    bench.loading = Deferred(lambda _: cancelled.append(True))
    bench.prepare()
    assert bench.job.state == "loading"
    bench.order("release", run=False)
    assert cancelled == [True]
    assert bench.said.kinds == ["released"] and bench.over


def test_a_release_ends_a_run_at_once() -> None:
    bench = Bench()
    worker = bench.running()
    bench.order("release", run=False)
    assert worker.did[-2:] == [("stop", True), ("tear_down", False)]
    assert bench.said.kinds[-2:] == ["ended", "released"] or bench.said.kinds[-1] == "released"


def test_an_operator_who_stops_the_agent_is_told_to_the_coordinator_first() -> None:
    bench = Bench()
    bench.running()
    bench.job.release(False, "it was stopped")
    kinds = bench.said.kinds
    assert kinds.index("leaving") < kinds.index("released")


def test_an_engine_that_breaks_is_a_failure_of_the_run() -> None:
    bench = Bench()
    worker = bench.running()
    worker.done.errback(RuntimeError("engine"))
    assert bench.job.state == "failed"
    assert bench.said.all[-1].data["lines"] == ["RuntimeError: engine"]


# ---- a coordinator that is not heard


def test_a_run_goes_on_for_a_while_without_its_coordinator() -> None:
    bench = Bench()
    worker = bench.running()
    bench.advance(3)
    bench.advance(LOST_SECONDS + 1, alive=False)
    events = [one for one in worker.did if one[0] == "event"]
    assert events[0][1] == "coordinator_lost" and "goes on for 20s" in events[0][2]
    bench.advance(15, alive=False)
    assert bench.job.state == "running" and len(events) == 1
    assert ("stop", False) not in worker.did
    bench.advance(3, alive=False)
    # No more arrivals; calls under way have the time that they would have had anyway.
    assert bench.job.state == "running" and worker.did[-1] == ("stop", False)
    bench.advance(5, alive=False)
    assert bench.job.state == "running"
    worker.finish()
    bench.advance(0.5, alive=False)
    assert bench.job.state == "over" and ("stop", True) not in worker.did
    assert ("tear_down", False) in worker.did


def test_an_orphan_drains_for_the_plans_time_out_at_most() -> None:
    bench = Bench()
    worker = bench.running()
    bench.advance(21, alive=False)
    assert worker.did[-1] == ("stop", False)
    bench.advance(PLAN.timeout, alive=False)
    assert bench.job.state == "running"
    bench.advance(END_SECONDS + 1, alive=False)
    assert worker.did[-2:] == [("stop", True), ("tear_down", False)]
    assert bench.job.state == "over"


def test_an_orphan_whose_coordinator_is_heard_while_it_drains_says_its_end() -> None:
    bench = Bench()
    worker = bench.running()
    bench.advance(21, alive=False)
    bench.advance(3)
    worker.emit(Report(run="17", agent="a-2", sequence=0, second=0, last=True))
    worker.finish()
    bench.advance(10)
    assert bench.job.state == "ended" and not bench.over
    assert bench.said.kinds[-2:] == ["report", "ended"]


def test_a_coordinator_that_is_heard_again_goes_on() -> None:
    bench = Bench()
    worker = bench.running()
    bench.advance(10, alive=False)
    bench.advance(1)
    bench.advance(15, alive=False)
    assert bench.job.state == "running"
    kinds = [one[1] for one in worker.did if one[0] == "event"]
    assert kinds == ["coordinator_lost", "note", "coordinator_lost"]


def test_a_pulse_that_stands_still_is_none() -> None:
    bench = Bench()
    worker = bench.running()
    for _ in range(40):
        bench.job.pulse(1, 0)
        bench.advance(0.5, alive=False)
    assert [one[1] for one in worker.did if one[0] == "event"] == ["coordinator_lost"]


def test_a_run_that_never_begins_is_given_up() -> None:
    bench = Bench()
    bench.prepare()
    bench.advance(IDLE_ORPHAN - 1, alive=False)
    assert not bench.over
    bench.advance(2, alive=False)
    assert bench.over and bench.said.kinds[-1] == "released"


# ---- a process that was stopped


def test_after_a_pause_nothing_of_the_past_begins() -> None:
    bench = Bench()
    worker = bench.running()
    worker.clock.callLater(5.0, worker.did.append, ("due at 55",))
    bench.advance(2.5)  # it is 52.5, in second 0
    bench.clock.advance(8.0)  # SIGSTOP until 60.5
    bench.clock.advance(0)
    # what was due meanwhile comes after that
    assert worker.did.index(("reshare", NOBODY, 1)) < worker.did.index(("due at 55",))
    assert bench.said.all[-1].kind == "paused"
    assert len([one for one in worker.did if one[0] == "reshare"]) == 1


def test_a_slow_machine_is_no_pause() -> None:
    clock = Clock()
    pauses: list[tuple[float, float]] = []
    guard = Guard(clock, 2.5, lambda *found: pauses.append(found))
    guard.start()
    for _ in range(20):
        clock.advance(2.4)
    assert pauses == []
    clock.advance(2.6)
    assert [list(found) for found in pauses] == [pytest.approx([48.0, 50.6])]
    guard.stop()
    assert clock.getDelayedCalls() == []


def test_a_guarded_timer_is_a_timer() -> None:
    clock = Clock()
    guard = Guard(clock, 2.5, lambda *_: None)
    ran: list[str] = []
    call = guard.callLater(1.0, ran.append, "a")
    call.reset(2.0)
    clock.advance(1.5)
    assert call.active() and call.getTime() == 2.0
    clock.advance(1.0)
    assert ran == ["a"] and not call.active()
    call = guard.callLater(1.0, ran.append, "b")
    call.cancel()
    assert not call.active() and clock.getDelayedCalls() == []


def test_a_timer_that_comes_again_after_a_pause_can_be_reset_in_it() -> None:
    clock = Clock()
    timers: list[Any] = []
    guard = Guard(clock, 2.5, lambda *_: timers[0].reset(0.0))
    guard.start()
    ran: list[int] = []
    timers.append(guard.callLater(0.05, ran.append, 1))
    clock.advance(9.0)
    clock.advance(0.0)
    assert ran == [1]
    guard.stop()
