"""One run as its coordinator sees it: merged, judged, bounded, with losses and stops; no agents."""

from __future__ import annotations

from typing import Any

import pytest
from coordinating import SOON, FakeStore, Stage
from twisted.internet.defer import CancelledError, Deferred

from rascal.errors import ConfigErrors, CoordinationError
from rascal.load.types import Event


def running(*given: Any, **values: Any) -> Stage:
    """A run whose load has just started."""
    stage = Stage(*given, **values)
    stage.begin()
    stage.until(0)
    return stage


# ---- from beginning to end


def test_a_run() -> None:
    store = FakeStore()
    stage = running(store=store)
    assert stage.link.words() == ["gather", "prepare", "start"]
    assert stage.watcher.run == "17"
    stage.go(5)
    stage.until(5.01)
    stage.last()
    finished = stage.result()
    assert (finished.run, finished.outcome, finished.status) == ("17", "completed", 0)
    assert stage.link.words() == ["gather", "prepare", "start", "close"]
    assert stage.watcher.kinds() == ["started", "ended"]
    assert finished.results.total().started == 50
    assert [report.sequence for report in store.reports] == [0, 1, 2, 3, 4, 5]
    assert [event.kind for event in store.events] == ["started", "ended"]
    assert store.finished is not None and store.finished[0] == "completed"
    assert store.finished[1] is finished.summary
    assert store.began == pytest.approx(1_700_000_100 + SOON)
    assert store.plan["target"] == "http://127.0.0.1:1"
    assert store.about["agents"][0]["name"] == "a"
    states = [snapshot.state for snapshot in stage.watcher.snapshots]
    assert states == ["running"] * 5 + ["ended"]
    assert [one.closed for one in stage.watcher.snapshots] == [-1, 0, 1, 2, 3, 5]
    assert [one.planned for one in stage.watcher.snapshots] == [10.0] * 5 + [0.0]


def test_a_report_that_comes_twice_counts_once() -> None:
    store = FakeStore()
    stage = running(store=store)
    stage.until(1)
    report = stage.report("a", 0)
    stage.link.calls.on_report(report)
    assert stage.coordinator.results.total().started == 10
    assert len(store.reports) == 1


def test_a_run_waits_for_the_last_report_of_every_agent() -> None:
    stage = running(("a", "b"))
    stage.go(5)
    stage.last("a")
    stage.until(9)
    assert stage.coordinator.state == "draining"
    stage.last("b")
    assert stage.result().outcome == "completed"


def test_without_a_store_reports_have_a_run_all_the_same() -> None:
    stage = running()
    assert stage.watcher.run == ""
    assert stage.coordinator.keeper.id.startswith("run-")


# ---- before load starts


@pytest.mark.parametrize("where", ["gather", "prepare", "start"])
def test_what_goes_wrong_before_the_start_is_raised(where: str) -> None:
    store = FakeStore()
    stage = Stage(store=store)
    stage.link.broken[where] = CoordinationError("no agents are there")
    failed = stage.begin()
    errors: list[Any] = []
    failed.addErrback(errors.append)
    assert errors[0].check(CoordinationError)
    assert stage.link.words()[-1] == "close"
    assert stage.clock.getDelayedCalls() == []
    if where != "gather":
        assert store.finished is not None
        assert store.finished[0] == store.finished[1]["outcome"] == "refused"
        assert store.finished[1]["status"] == 2
        assert store.finished[1]["why"] == "no agents are there"


def test_a_full_disk_before_the_start_is_an_error() -> None:
    store = FakeStore()
    store.fails = OSError("the disk is full")
    stage = Stage(store=store)
    errors: list[Any] = []
    stage.begin().addErrback(errors.append)
    assert errors[0].check(OSError)
    assert stage.link.words() == ["gather", "close"]


def test_a_missing_arrival_log_is_an_error() -> None:
    with pytest.raises(ConfigErrors, match=r"there is no arrival log 'x\.log'"):
        Stage(rate=None, for_=None, replay="x.log")


def test_stopped_while_it_is_prepared() -> None:
    stage = Stage(store=FakeStore())
    stage.link.prepared = Deferred()
    stage.begin()
    stage.watcher.control.stop("no more")
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("interrupted", 130)
    assert finished.summary["why"] == "no more"
    assert stage.link.words() == ["gather", "prepare", "close"]


def test_stopped_by_who_hears_of_it() -> None:
    stage = Stage()
    stage.watcher.began = lambda run, control: control.stop("not now")  # type: ignore[method-assign]
    stage.begin()
    assert stage.result().outcome == "interrupted"
    assert stage.link.words() == ["gather", "close"]


def test_an_agent_that_is_lost_before_the_start() -> None:
    stage = Stage(("a", "b"))
    stage.link.prepared = Deferred()
    stage.begin()
    stage.link.calls.on_lost("a", "gone")
    stage.link.calls.on_lost("b", "gone too")
    stage.link.calls.on_back("b")
    stage.link.prepared.callback(None)
    assert stage.watcher.kinds() == ["started", "agent_lost", "redistributed"]
    assert stage.link.said[-1] == ("reshare", [1], 1)


# ---- stops


def test_a_stop_drains_and_a_second_one_does_not() -> None:
    stage = running()
    stage.go(2)
    stage.watcher.control.stop("enough")
    assert stage.link.said[-1] == ("stop", False)
    stage.until(2.5)
    stage.watcher.control.stop()
    assert stage.link.said[-1] == ("stop", True)
    stage.last()
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("interrupted", 130)
    assert finished.summary["seconds"] == pytest.approx(2.0)
    assert finished.summary["why"] == "enough"
    # What was not offered after the stop is not missing.
    assert finished.summary["invalid"] == []


def test_cancelling_is_stopping() -> None:
    stage = running()
    stage.go(2)
    assert stage.ended is not None
    stage.ended.cancel()
    assert stage.link.said[-1] == ("stop", False)
    stage.ended.cancel()
    assert stage.link.said[-1] == ("stop", True)
    stage.last()
    assert stage.result().status == 130


def test_cancelling_before_the_start() -> None:
    stage = Stage()
    stage.link.prepared = Deferred()
    ended = stage.begin()
    ended.cancel()
    assert stage.result().outcome == "interrupted"
    assert CancelledError.__name__  # it is not raised


def test_an_agent_that_hears_no_stop_is_not_waited_for() -> None:
    stage = running()
    stage.go(1)
    stage.watcher.control.stop(now=True)
    stage.until(8)
    finished = stage.result()
    assert finished.outcome == "interrupted"
    assert "it sent no last report" in stage.watcher.text("agent_lost")


def test_a_stop_rule() -> None:
    stage = running(stop=["failed > 50% for 2s"], for_="20s")
    stage.go(2)
    stage.go(3, outcomes={"timeout": 8, "served": 2})
    assert ("stop", False) in stage.link.said
    stage.last()
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("stopped", 4)
    assert stage.watcher.text("stop_rule") == "stop rule: failed > 50% for 2s"
    assert finished.summary["seconds"] < 6


def test_objectives_that_fail() -> None:
    stage = running(objectives=["p95(home) < 5ms", "failed < 1%"])
    stage.go(5)
    stage.last()
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("completed", 1)
    kept = {one["text"]: one["kept"] for one in finished.summary["objectives"]}
    assert kept == {"p95(home) < 5ms": False, "failed < 1%": True}


def test_the_hard_end_in_requests() -> None:
    stage = running(max_requests="25", for_="20s")
    stage.go(4)
    assert stage.link.said[-1] == ("stop", False)
    assert "the hard end of 25 requests" in stage.watcher.text("limit")
    stage.last()
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("completed", 0)


def test_an_agent_that_reached_its_hard_end_has_offered_all_it_should() -> None:
    stage = running(("a", "b"), for_="20s")
    stage.go(2, planned=5)
    for agent in "ab":
        limit = Event(second=2.5, kind="limit", text="the hard end of 10 requests is reached")
        stage.report(agent, 2, 3, events=[limit], last=True)
    finished = stage.result()
    assert finished.summary["invalid"] == []
    assert finished.summary["seconds"] == pytest.approx(2.0)


def test_the_hard_end_in_time() -> None:
    stage = running(max_time="3s", for_="20s")
    stage.go(3)
    stage.until(3.5)
    assert stage.coordinator.state == "draining"
    stage.last()
    finished = stage.result()
    assert finished.summary["seconds"] == 3.0
    assert finished.status == 0


def test_what_others_ask_by_way_of_the_store() -> None:
    store = FakeStore()
    stage = running(store=store, for_="20s")
    stage.go(1)
    store.asked.append({"kind": "change", "profiles": {"": "hold 40/s for 5s"}})
    store.asked.append({"kind": "change", "profiles": {"": "hold it"}})
    store.asked.append({"kind": "label"})
    stage.go(1)
    assert stage.link.said[-1][::2] == ("change", 3)
    assert stage.watcher.text("changed") == "from second 3: look hold 40/s for 5s"
    assert "cannot be made" in stage.watcher.text("error")
    assert stage.coordinator.offer.ends == 8.0
    assert stage.coordinator.offer.planned(2) == 10.0
    assert stage.coordinator.offer.planned(3) == 40.0
    store.asked.append({"kind": "stop", "why": "it is late"})
    stage.go(1)
    assert stage.link.said[-1] == ("stop", False)
    assert stage.watcher.text("stopping") == "it is late"


def test_the_load_cannot_be_changed_after_its_end() -> None:
    stage = running()
    stage.go(6)
    with pytest.raises(ConfigErrors, match="the load has ended"):
        stage.watcher.control.change({"": "hold 4/s for 5s"})


# ---- losses


def test_the_arrivals_of_a_lost_agent_go_to_the_others() -> None:
    stage = running(("a", "b", "c"), for_="10s")
    stage.go(3, planned=3)
    stage.link.calls.on_lost("b", "no sign for 2.5 s")
    assert stage.link.said[-1] == ("reshare", [0, 2], 5)
    assert stage.watcher.text("agent_lost") == "agent b is lost: no sign for 2.5 s"
    assert "shared by a, c" in stage.watcher.text("redistributed")
    stage.go(2, "a", "c", planned=3)
    stage.go(5, "a", "c", planned=5)
    stage.last("a", "c")
    finished = stage.result()
    assert finished.outcome == "completed"
    assert any("agent b was lost" in one for one in finished.summary["warnings"])
    assert finished.summary["agents"]["b"]["lost"] == "no sign for 2.5 s"
    # 89 of 100 were offered.
    assert finished.status == 3
    assert "offered load not reached" in finished.summary["invalid"][0]


def test_an_agent_that_comes_back_has_its_part_again() -> None:
    stage = running(("a", "b"), for_="10s")
    stage.go(3, planned=5)
    stage.link.calls.on_lost("b", "paused")
    stage.link.calls.on_lost("b", "paused")
    stage.go(2, "a", planned=5)
    assert stage.coordinator.results.closed == 4
    stage.link.calls.on_back("b")
    assert stage.link.said[-1] == ("reshare", [0, 1], 7)
    assert stage.coordinator.results.closed == 2
    for second in (3, 4):
        stage.report("b", second, 5)
    stage.go(5, planned=5)
    stage.last()
    finished = stage.result()
    assert finished.status == 0
    assert stage.watcher.kinds().count("agent_lost") == 1
    assert any("it came back" in one for one in finished.summary["warnings"])


def test_without_redistribution_the_others_go_on() -> None:
    stage = running(("a", "b"), loss="continue")
    stage.go(2, planned=5)
    stage.link.calls.on_lost("b", "gone")
    stage.go(3, "a", planned=5)
    stage.last("a")
    assert "reshare" not in stage.link.words()
    assert stage.result().status == 3


def test_a_loss_may_end_the_run() -> None:
    stage = running(("a", "b"), loss="abort")
    stage.go(2, planned=5)
    stage.link.calls.on_lost("b", "gone")
    assert stage.link.said[-1] == ("stop", False)
    stage.last("a")
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("aborted", 3)
    assert finished.summary["invalid"][0] == "agent b is lost: gone"


def test_when_nobody_is_left_the_run_has_failed() -> None:
    stage = running(("a", "b"))
    stage.go(2, planned=5)
    stage.link.calls.on_lost("a", "gone")
    stage.link.calls.on_lost("b", "gone too")
    finished = stage.result()
    assert (finished.outcome, finished.status) == ("failed", 3)
    assert finished.results.total().started == 20


def test_an_agent_that_is_lost_after_its_last_report_is_no_loss() -> None:
    stage = running(("a", "b"))
    stage.go(5, planned=5)
    stage.last("a")
    stage.link.calls.on_lost("a", "gone home")
    assert "agent_lost" not in stage.watcher.kinds()
    stage.last("b")
    assert stage.result().status == 0


def test_missing_reports_are_an_event() -> None:
    stage = running(for_="20s")
    stage.go(2)
    stage.sequences["a"] += 2
    stage.go(12)
    assert "2 reports of agent a did not arrive" in stage.watcher.text("reports_lost")
    stage.go(6)
    stage.last()
    assert stage.coordinator.state != "ended"  # they may still come
    stage.until(30)
    finished = stage.result()
    assert stage.watcher.kinds().count("reports_lost") == 1
    assert finished.summary["reports"]["missing"] == 2
    assert any("2 reports are missing" in one for one in finished.summary["warnings"])


def test_missing_reports_that_come_after_all() -> None:
    stage = running(for_="20s")
    stage.go(2)
    stage.sequences["a"] += 1
    stage.go(12)
    there = stage.sequences["a"]
    stage.sequences["a"] = 2
    stage.report("a", 2)
    stage.sequences["a"] = there
    stage.go(1)
    assert stage.watcher.text("note") == "missing reports of agent a arrived after all"


# ---- what cannot be trusted


def test_unsound_seconds_make_a_run_invalid() -> None:
    stage = running(for_="20s")
    stage.go(10)
    stage.go(2, unsound=("busy", "late"))
    stage.go(8)
    stage.last()
    finished = stage.result()
    assert finished.status == 3
    assert finished.summary["unsound"] == {
        "seconds": [10, 11],
        "share": 0.1,
        "reasons": {"busy": 2, "late": 2},
    }
    assert "the client was the bottleneck in 2 seconds (10%" in finished.summary["invalid"][0]
    assert stage.watcher.kinds().count("unsound") == 1


def test_a_few_unsound_seconds_are_a_warning() -> None:
    stage = running(for_="40s")
    stage.go(10)
    stage.go(1, unsound=("lag",))
    stage.go(29)
    stage.last()
    finished = stage.result()
    assert finished.status == 0
    assert finished.summary["warnings"] == [
        "1 second is not to be trusted: the client was the bottleneck (lag 1)"
    ]


def test_arrivals_that_nobody_began_make_a_run_invalid() -> None:
    stage = running()
    stage.go(5, planned=9)
    stage.last()
    finished = stage.result()
    assert finished.status == 3
    assert finished.summary["offered"]["share"] == pytest.approx(0.9)


def test_dropped_arrivals_were_offered_and_are_a_warning() -> None:
    stage = running()
    stage.go(5, dropped=4)
    stage.last()
    finished = stage.result()
    assert finished.status == 0
    assert "20 arrivals (40.0%) were dropped" in finished.summary["warnings"][0]


def test_chance_is_no_finding() -> None:
    stage = running(spacing="poisson")
    stage.go(5, planned=8)
    stage.last()
    assert stage.result().status == 0


# ---- trouble of others


def test_a_store_that_fails_does_not_end_the_run() -> None:
    store = FakeStore()
    stage = running(store=store, for_="20s")
    stage.go(2)
    store.fails = OSError("the disk is full")
    stage.go(8)
    assert stage.watcher.kinds().count("error") == 1
    assert "the disk is full" in stage.watcher.text("error")
    store.fails = None
    stage.go(10)
    assert "can be written again" in stage.watcher.text("note")
    stage.last()
    finished = stage.result()
    assert finished.status == 0
    assert [report.sequence for report in store.reports] == list(range(21))
    assert store.events == stage.watcher.events


def test_a_store_that_fails_to_the_end() -> None:
    store = FakeStore()
    stage = running(store=store)
    store.fails = OSError("the disk is full")
    stage.go(5)
    stage.last()
    finished = stage.result()
    assert finished.results.total().started == 50
    assert "the disk is full" in finished.summary["warnings"][-1]


def test_a_listener_that_fails_does_not_end_the_run(logged_failures: Any) -> None:
    stage = Stage()

    def fail(*given: Any) -> None:
        raise ZeroDivisionError

    stage.watcher.snapshot = fail  # type: ignore[method-assign]
    stage.begin()
    stage.until(0)
    stage.go(5)
    stage.last()
    assert stage.result().status == 0
    assert logged_failures.flush(ZeroDivisionError)


def test_a_tear_down_that_fails_is_an_event() -> None:
    stage = running()
    stage.link.broken["close"] = CoordinationError("Redis is gone")
    stage.go(5)
    stage.last()
    assert stage.result().status == 0
    assert stage.watcher.text("error") == "tear-down failed: Redis is gone"


def test_events_of_the_link_are_put_on_the_runs_clock() -> None:
    stage = running()
    stage.go(2)
    stage.link.calls.on_event(Event(second=-1, kind="note", text="Redis is back"))
    assert stage.watcher.events[-1].second == pytest.approx(2.0)
