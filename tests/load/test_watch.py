"""Is the process itself the bottleneck?"""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock, deferLater
from within import within

from rascal.load.watch import UNSOUND, Watch
from rascal.reactor import count_no_more, count_waiting


class Bench:
    """A watch on a Clock, with a CPU that is set by hand."""

    def __init__(self, deadline: float = 0.0) -> None:
        self.clock = Clock()
        self.cpu = 0.0
        self.watch = Watch(self.clock, deadline=deadline, cpu=lambda: self.cpu)
        self.watch.start()

    def second(
        self, cpu: float = 0.1, late: float = 0.0, sleep: float = 0.0, calls: int = 100
    ) -> Any:
        """Let a second pass, in which so many of 100 calls are late."""
        for number in range(100):
            self.watch.lateness.record(int(late * 1e6) if number < calls else 0)
        self.clock.advance(sleep)
        for _ in range(round((1 - sleep) * 10)):
            self.clock.advance(0.1)
        self.cpu += cpu
        return self.watch.meters(users=3)


@pytest.fixture
def bench() -> Any:
    made = Bench()
    yield made
    made.watch.stop()


def test_a_calm_second_is_sound(bench: Bench) -> None:
    found = bench.second()
    assert found.cpu == found.busy == pytest.approx(0.1)
    assert found.lag == pytest.approx(0, abs=1e-6)
    assert (found.unsound, found.users, found.lateness.count) == ((), 3, 100)
    assert bench.second().lateness.count == 100


def test_cpu_lag_and_lateness_make_a_second_unsound(bench: Bench) -> None:
    assert bench.second(cpu=0.92).unsound == ("busy",)
    assert bench.second(cpu=0.97).unsound == ("busy", "cpu")
    lagged = bench.second(sleep=0.35)
    assert lagged.lag == pytest.approx(0.25, abs=0.01)
    assert lagged.unsound == ("lag",)
    assert bench.second(late=0.021).unsound == ("late",)
    assert set(UNSOUND) == {"late", "busy", "cpu", "lag"}


def test_lateness_is_judged_over_five_seconds(bench: Bench) -> None:
    assert [bench.second(late=0.5, calls=2).unsound for _ in range(5)] == [("late",)] * 5
    assert [bench.second(late=0.01).unsound for _ in range(5)] == [()] * 5
    assert [bench.second(late=0.5, calls=2).unsound for _ in range(3)] == [(), (), ("late",)]


def test_a_hiccup_spoils_the_second_in_which_it_was(bench: Bench) -> None:
    assert bench.second(late=0.5, calls=30).unsound == ("late",)
    assert [bench.second().unsound for _ in range(3)] == [()] * 3


def test_a_large_deadline_allows_more_lateness() -> None:
    for deadline, late, wanted in ((1.0, 0.09, ()), (1.0, 0.11, ("late",)), (0.05, 0.019, ())):
        bench = Bench(deadline)
        assert bench.second(late=late).unsound == wanted
        bench.watch.stop()


def test_a_meter_that_is_read_late_says_so(bench: Bench) -> None:
    bench.clock.advance(0.1)
    assert bench.watch.meters(behind=0.3).unsound == ("lag",)
    bench.clock.rightNow += 5  # held up, and the timer has not run yet
    assert bench.watch.meters().lag == pytest.approx(4.9)


def test_pauses_of_the_collector_are_metered(bench: Bench) -> None:
    gc.collect()
    assert 0 < bench.watch.meters().gc < 5
    assert bench.watch.meters().gc == 0


def test_nothing_is_left_behind() -> None:
    before = list(gc.callbacks)
    bench = Bench()
    assert len(gc.callbacks) == len(before) + 1
    bench.watch.stop()
    bench.watch.stop()
    assert gc.callbacks == before
    assert not bench.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_the_reactor_tells_how_long_it_waits() -> None:
    from twisted.internet import reactor

    waited = count_waiting(reactor)
    if waited is None:
        pytest.skip("not an epoll reactor")
    poller = reactor._poller  # type: ignore[attr-defined]
    assert count_waiting(reactor) is not None
    began = time.monotonic()
    await within(5, deferLater(reactor, 0.2))  # type: ignore[arg-type]
    assert 0.15 < waited() <= time.monotonic() - began
    before = waited()
    time.sleep(0.2)  # busy  # noqa: ASYNC251
    await within(5, deferLater(reactor, 0))  # type: ignore[arg-type]
    assert waited() - before < 0.1
    count_no_more(reactor)
    assert reactor._poller is poller  # type: ignore[attr-defined]
    count_no_more(reactor)
    assert reactor._poller is not poller  # type: ignore[attr-defined]
    await within(5, deferLater(reactor, 0))  # type: ignore[arg-type]


def test_other_clocks_tell_nothing() -> None:
    assert count_waiting(Clock()) is None
    count_no_more(Clock())
