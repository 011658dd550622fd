"""What pages of a run begin with and are told: the hubs of one run, in memory."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from rascal.panel.active import IDLE, ActiveRun
from rascal.panel.columns import COLUMNS, FINE, KEPT_FINE
from rascal.panel.faults import WAIT, Noting, lanes_of
from rascal.panel.merging import News

RUN = {"id": "7", "kind": "load", "name": "shop", "state": "running", "labels": [], "by": "",
       "spec": {}}  # fmt: skip
WHO = SimpleNamespace(form="f0rm", role="viewer")


class Request(StringTransport):
    """What a hub needs of a request."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = self

    def notifyFinish(self) -> Any:  # noqa: N802
        from twisted.internet.defer import Deferred

        return Deferred()

    def finish(self) -> None:
        self.loseConnection()

    def events(self) -> list[tuple[str, Any]]:
        found = []
        for block in self.value().decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "event" in lines:
                found.append((lines["event"], json.loads(lines["data"])))
        self.clear()
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


def active(clock: Clock) -> ActiveRun:
    return ActiveRun(clock, RUN, lambda one: lanes_of(one, None))


def row(second: int, value: float = 1) -> list[Any]:
    return [second, *(value for _ in COLUMNS[1:])]


def state(second: int, status: str = "running") -> dict[str, Any]:
    return {"status": status, "t": second, "closed": second - 1, "started": 1000.0, "flows": {}}


def news(*seconds: int, **more: Any) -> News:
    last = max(seconds, default=0) + 1
    return News(rows=[row(one) for one in seconds], **{"state": state(last), **more})


def test_a_page_opened_late_begins_with_what_the_others_were_told(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0, 1, more=True), RUN)
    assert not run.ready
    run.apply(news(2), RUN)
    early = Request()
    run.hub.read(early, WHO)
    ((kind, snapshot),) = early.events()
    assert kind == "snapshot"
    assert (snapshot["csrf"], snapshot["role"]) == ("f0rm", "viewer")
    assert [one[0] for one in snapshot["rows"]] == [0, 1, 2]
    told = news(3, amended=[row(1, 9)], log=[{"t": 3.0, "kind": "note", "text": "hm"}])
    run.apply(told, RUN)
    assert [kind for kind, _ in early.events()] == ["amend", "second", "state", "log"]
    late = Request()
    run.hub.read(late, WHO)
    ((_, snapshot),) = late.events()
    assert snapshot["rows"] == [row(0), row(1, 9), row(2), row(3)]
    assert snapshot["log"][0]["text"] == "hm"
    run.close()


def test_who_is_behind_is_told_all_the_same(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    page = Request()
    run.hub.read(page, WHO)
    page.events()
    run.apply(news(1, 2, more=True), RUN)
    run.apply(news(3), RUN)
    assert [data[0] for kind, data in page.events() if kind == "second"] == [1, 2, 3]
    run.close()


def test_single_flows_come_to_those_who_asked_for_them(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    some, all_ = Request(), Request()
    view = run.view(("front",))
    view.rows["front"][0] = row(0, 5)
    view.hub.read(some, WHO)
    run.hub.read(all_, WHO)
    assert some.events()[0][1]["flows"] == {"front": [row(0, 5)]}
    assert "flows" not in all_.events()[0][1]
    flows = {1: {"front": row(1, 3), "back": row(1, 4)}}
    run.apply(news(1, flows=flows), RUN)
    assert some.events()[0] == ("second", {"row": row(1), "flows": {"front": row(1, 3)}})
    assert all_.events()[0] == ("second", row(1))
    run.close()


def test_the_end_is_told_once_and_the_run_let_go_when_nobody_looks(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    page = Request()
    run.hub.read(page, WHO)
    page.events()
    ended = {**RUN, "state": "ended"}
    for _ in range(2):
        run.apply(News(state=state(1, "ended"), over=True), ended)
    gone = [data for kind, data in page.events() if kind == "gone"]
    assert gone == [{"run": "7", "why": "finished", "url": "/runs/7"}]
    clock.advance(IDLE + 1)
    assert not run.forgettable  # somebody looks
    run.hub.drop(next(iter(run.hub.readers)))
    clock.advance(IDLE + 1)
    assert run.forgettable
    run.close()
    assert not clock.getDelayedCalls()


def test_more_than_two_hours_are_coarse_at_the_beginning(clock: Clock) -> None:
    run = active(clock)
    seconds = FINE + 100
    rows = [row(at, at % 10) for at in range(seconds)]
    coarse = {10: {at: row(at * 10, 4.5) for at in range(seconds // 10)}}
    run.apply(News(rows=rows, coarse=coarse, state=state(seconds)), RUN)
    found, fine, drawn = run.columns()
    assert fine == seconds - KEPT_FINE
    assert [one[0] for one in found[:3]] == [0, 10, 20]
    assert found[-KEPT_FINE:] == rows[-KEPT_FINE:]
    assert len(found) == fine // 10 + KEPT_FINE
    assert drawn is not None
    assert (drawn["step"], len(drawn["least"])) == (10, fine // 10)
    assert (drawn["least"][1][1], drawn["most"][1][1]) == (0, 9)
    assert run.columns(5, 8) == (rows[5:9], 5, None)
    run.close()


# ---- faults


def nodes(**fault: Any) -> Any:
    known = {"text": "delay 1s", "enabled": False, "armed": False, "fired": 2, "matched": 3}
    node = SimpleNamespace(name="main", faults={"db": {"slow": {**known, **fault}}})
    return SimpleNamespace(nodes={"main": node}, lever=None)


def test_a_fault_on_a_proxy_has_a_lane_before_it_was_ever_on(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    (lane,) = lanes_of(run, nodes())
    assert (lane["id"], lane["proxy"], lane["name"]) == ("A", "db", "slow")
    assert (lane["on"], lane["here"], lane["spans"], lane["fired"]) == (False, True, [], 2)
    (lane,) = lanes_of(run, nodes(armed=True, expires_in=5.0))
    assert lane["on"]
    run.over = True
    assert lanes_of(run, nodes()) == []


class Watched:
    """Runs, as Noting sees them."""

    def __init__(self, clock: Clock, one: ActiveRun, known: Any = None) -> None:
        self.reactor = clock
        self.active = {one.id: one}
        self.panel = SimpleNamespace(nodes=known)
        self.recorded: list[tuple[Any, ...]] = []

    def record(self, *event: Any) -> None:
        self.recorded.append(event)

    def _lanes(self, one: ActiveRun) -> Any:
        return lanes_of(one, self.panel.nodes)


def changed(change: str, **state: Any) -> dict[str, Any]:
    told = {"text": "delay 1s", "lease": None, "enabled": True, **state}
    return {"node": "main", "proxy": "db", "name": "slow", "change": change, "at": 1005.0,
            "state": told}  # fmt: skip


def test_a_change_made_here_is_recorded_once_with_who_made_it(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    runs = Watched(clock, run)
    noting = Noting(runs)
    noting.heard("faults", changed("enabled"))
    noting.noted("ann turned db/slow on", {"proxy": "db", "name": "slow", "on": True, "by": "ann"})
    clock.advance(WAIT)
    ((kind, text, data, _, _),) = runs.recorded
    assert (kind, text) == ("fault_on", "ann turned db/slow on")
    assert (data["fault"], data["by"]) == ("db/slow", "ann")
    noting.heard("faults", changed("expired"))
    clock.advance(WAIT)
    assert [one[0] for one in runs.recorded] == ["fault_on", "fault_off"]
    noting.close()


def test_a_change_made_elsewhere_is_recorded_too(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    runs = Watched(clock, run)
    noting = Noting(runs)
    noting.heard("faults", changed("disabled"))
    assert runs.recorded == []
    clock.advance(WAIT)
    ((kind, text, data, at, _),) = runs.recorded
    assert (kind, text, at) == ("fault_off", "db/slow is disabled: delay 1s", 1005.0)
    assert data["node"] == "main"
    noting.close()


def test_what_an_experiment_does_it_tells_itself(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    runs = Watched(clock, run)
    noting = Noting(runs)
    noting.heard("faults", changed("enabled", lease="experiment-x"))
    run.own = [{"id": "A", "proxy": "db", "name": "slow", "plan": [[1, 2]], "spans": [],
                "text": "", "planned": [], "by": "plan"}]  # fmt: skip
    noting.heard("faults", changed("enabled"))
    clock.advance(WAIT)
    assert runs.recorded == []
    noting.close()


def test_what_was_on_before_is_on_from_the_first_second(clock: Clock) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    runs = Watched(clock, run, nodes(armed=True))
    Noting(runs).begun(run)
    ((kind, text, data, at, which),) = runs.recorded
    assert (kind, data["fault"], at, which) == ("fault_on", "db/slow", 1000.0, "7")
    assert "before" in text


def test_exchanges_come_with_the_time_of_the_run_and_the_letter_of_their_fault(
    clock: Clock,
) -> None:
    run = active(clock)
    run.apply(news(0), RUN)
    page = Request()
    run.hub.read(page, WHO)
    page.events()
    noting = Noting(Watched(clock, run, nodes()))
    record = {"number": 1, "command": "GET <script>", "at": 1002.5, "faults": ["slow"]}
    plain = {"number": 2, "command": "PING", "at": 1002.75, "faults": []}
    noting.heard("exchanges", {"node": "main", "proxy": "db", "exchanges": [record, plain, 7]})
    ((kind, found),) = page.events()
    assert kind == "exchanges"
    assert [(one["t"], one["fault"], one["proxy"]) for one in found] == [
        (2.5, "A", "db"), (2.75, None, "db"),
    ]  # fmt: skip
    run.close()
