"""A run read from the store for pages: rows, late calls, coarse beginnings, agents, faults."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rascal.load.types import Event, Meters, Report, Row
from rascal.panel.columns import CLASSES, COLUMNS, FINE, KEPT_FINE, UNITS, bands, cells, step_for
from rascal.panel.following import Follower
from rascal.panel.lanes import letter
from rascal.panel.merging import News
from rascal.panel.runs_json import run_json
from rascal.store import Store

AT = {name: number for number, name in enumerate(COLUMNS)}
PLAN: dict[str, Any] = {
    "version": 1,
    "file": "shop.py",
    "shares": [{"scenarios": ["buy"], "profile": [{"shape": "hold", "level": "4/s", "for": "1m"}]}],
    "target": "http://127.0.0.1:8080",
    "headers": {"Authorization": "Bearer hidden"},
    "objectives": [{"measure": "p95", "flows": [], "op": "<", "limit": "300ms"}],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.db") as opened:
        yield opened


def create(store: Store, agents: tuple[str, ...] = ("a",), **about: Any) -> str:
    infos = [{"name": name, "host": "here"} for name in agents]
    run = store.create(PLAN, {"shop.py": b"# the shop\n"}, agents=infos, **about)
    store.begin(run, time.time())
    return run


def served(calls: int, milliseconds: int = 10, **outcomes: int) -> Row:
    row = Row()
    row.started = row.planned = calls + sum(outcomes.values())
    row.attempts = row.started
    row.outcomes = {"served": calls, **outcomes}
    for _ in range(calls):
        row.served.record(milliseconds * 1000)
    return row


def due(planned: int, ended: int) -> Row:
    row = Row()
    row.planned, row.started = planned, ended
    return row


def report(second: int, rows: dict[Any, Row], agent: str = "a", **more: Any) -> Report:
    meters = Meters(**{"in_flight": 0, **more})
    return Report(run="", agent=agent, sequence=second, second=second, rows=rows, meters=meters)


def calls_of(rows: list[list[Any]], name: str) -> list[Any]:
    return [row[AT[name]] for row in rows]


def test_every_outcome_has_a_column_and_every_column_a_unit() -> None:
    row = served(5, 10, shed=1, http_4xx=1, http_5xx=2, refused=1, reset=1, tls=1, timeout=3,
                 truncated=1, malformed=1, check_failed=1, wrong_data=1)  # fmt: skip
    row.dropped = 4
    found = dict(zip(COLUMNS, cells(7, row, arrivals=30), strict=True))
    assert found["t"] == 7
    assert sum(found[name] for name in CLASSES) == found["offered"] == row.started + 4
    assert (found["good"], found["shed"], found["http"], found["refused"]) == (5, 1, 3, 3)
    assert (found["timeout"], found["wrong"], found["dropped"]) == (3, 4, 4)
    assert found["p50"] == pytest.approx(10, rel=0.02)
    assert set(UNITS) == set(COLUMNS)


def test_a_second_without_calls_has_no_latency() -> None:
    found = dict(zip(COLUMNS, cells(0, Row()), strict=True))
    assert found["p50"] is found["p99"] is found["attempts"] is None
    assert found["offered"] == 0


def test_seconds_come_once_all_agents_have_reported_past_them(store: Store) -> None:
    run = create(store, ("a", "b"))
    follower = Follower(store, run)
    for second in range(3):
        store.add(run, report(second, {("flow", "x", second): served(2)}))
    store.add(run, report(0, {("flow", "x", 0): served(3)}, "b"))
    news = follower.read()
    assert calls_of(news.rows, "t") == [0]
    assert calls_of(news.rows, "good") == [5]
    assert follower.read().rows == []
    store.add(run, report(1, {("flow", "x", 1): served(1)}, "b"))
    assert calls_of(follower.read().rows, "good") == [3]


def test_a_lost_agent_is_not_waited_for(store: Store) -> None:
    run = create(store, ("a", "b"))
    follower = Follower(store, run)
    store.add(run, report(0, {("flow", "x", 0): served(2)}))
    assert follower.read().rows == []
    store.event(run, Event(second=5.0, kind="agent_lost", text="b is lost", agent="b"))
    news = follower.read()
    assert calls_of(news.rows, "good") == [2]
    assert news.agents is not None
    assert news.agents["b"]["state"] == "lost"
    assert news.state["agents"] == {"up": 1, "want": 2}
    assert not news.state["sound"]["ok"]
    assert news.log[0]["text"] == "b is lost"


def test_calls_that_end_late_amend_the_second_of_their_intended_start(store: Store) -> None:
    run = create(store)
    follower = Follower(store, run)
    first = {("flow", "x", 0): served(3), ("scenario", "buy", 0): due(5, 3)}
    store.add(run, report(0, first, in_flight=2))
    row = follower.read().rows[0]
    assert row[AT["offered"]] == 5  # two are open
    assert row[AT["good"]] == 3
    follower.merged.flows = frozenset("x")
    late = {("flow", "x", 0): served(0, timeout=2), ("scenario", "buy", 0): due(0, 2)}
    store.add(run, report(1, late))
    news = follower.read()
    assert calls_of(news.amended, "t") == [0]
    assert calls_of(news.amended, "offered") == [5]
    assert calls_of(news.amended, "timeout") == [2]
    assert calls_of(news.rows, "t") == [1]
    assert news.flows[0]["x"][AT["timeout"]] == 2


def test_who_reads_later_finds_the_same(store: Store) -> None:
    run = create(store)
    early = Follower(store, run)
    rows: dict[int, list[Any]] = {}
    for second in range(20):
        late = max(0, second - 3)
        store.add(run, report(second, {("flow", "x", at): served(1) for at in {late, second}}))
        for row in (*(news := early.read()).amended, *news.rows):
            rows[row[0]] = row
    later = Follower(store, run).read()
    assert later.rows == [rows[at] for at in range(20)]


def test_much_is_read_in_slices(store: Store) -> None:
    run = create(store)
    for second in range(40):
        store.add(run, report(second, {("flow", "x", second): served(1)}))
    follower = Follower(store, run)
    found: list[News] = [follower.read(0.0)]
    while found[-1].more:
        found.append(follower.read(0.0))
    assert len(found) > 10
    assert [row[0] for news in found for row in news.rows] == list(range(40))


def test_the_beginning_of_a_long_run_is_coarse_and_its_latencies_are_merged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rascal.panel.columns.FINE", 20)
    run = create(store)
    for second in range(25):
        slow = 1000 if second < 2 else 10
        store.add(run, report(second, {("flow", "x", second): served(4, slow)}, in_flight=second))
    news = Follower(store, run).read(5.0)
    rows = news.coarse[10]
    assert sorted(rows) == [0, 1, 2]
    first = dict(zip(COLUMNS, rows[0], strict=True))
    assert (first["t"], first["good"], first["in_flight"]) == (0, 4, 4.5)
    # Eight of forty calls took a second: a mean of the seconds' p95 would say 208 ms.
    assert first["p95"] == pytest.approx(1000, rel=0.02)
    assert rows[2][AT["good"]] == 4  # a rate over the five seconds that are there
    assert 60 not in news.coarse  # nobody needs them yet
    least, most = bands(news.rows[:10], 10)
    assert (least[0][AT["p50"]], most[0][AT["in_flight"]]) == (pytest.approx(10, rel=0.02), 9)


def test_how_coarse_depends_on_how_long() -> None:
    assert step_for(FINE) == 1
    assert step_for(FINE + 1) == 10
    assert step_for(10 * FINE + 1) == 60
    assert KEPT_FINE < FINE


def test_hand_made_faults_become_lanes(store: Store) -> None:
    run = create(store)
    follower = Follower(store, run)
    follower.read()
    data = {"fault": "db/slow", "by": "ann", "node": "main", "text": "delay 1s"}
    store.note(run, Event(second=3.0, kind="fault_on", text="ann: on", data=data))
    news = follower.read()
    assert news.faults is not None
    assert news.faults[0] | {"planned": []} == {
        "id": "A", "node": "main", "proxy": "db", "name": "slow", "text": "delay 1s", "on": True,
        "spans": [[3.0, None]], "planned": [], "plan": [], "fired": 0, "matched": 0, "by": "ann",
    }  # fmt: skip
    assert news.log == [{"t": 3.0, "kind": "fault_on", "text": "ann: on", "by": "ann"}]
    store.note(run, Event(second=7.5, kind="fault_off", text="off", data={"fault": "db/slow"}))
    found = follower.read().faults
    assert found is not None
    assert found[0]["spans"] == [[3.0, 7.5]]


def test_an_ended_run_is_over_and_a_lost_one_too(store: Store) -> None:
    run = create(store)
    store.add(run, report(0, {("flow", "x", 0): served(2, 10)}))
    follower = Follower(store, run)
    assert not follower.read().over
    store.finish(run, "completed", {"status": 0})
    news = follower.read()
    assert news.over
    assert news.state["status"] == "ended"
    assert news.verdict is not None
    (measure,) = news.verdict["measures"]
    assert (measure["name"], measure["met"]) == ("p95 < 300ms", True)
    lost = create(store, pid=2**22 + 1)
    news = Follower(store, lost).read()
    assert (news.over, news.state["status"]) == (True, "lost")


def test_an_experiment_is_not_over_before_it_was_judged(store: Store) -> None:
    run = create(store, kind="experiment")
    store.finish(run, "completed", {"status": 0})
    follower = Follower(store, run)
    news = follower.read()
    assert follower.run.pid == os.getpid()
    assert (news.over, news.state["status"]) == (False, "judging")


def test_a_run_as_json_hides_the_values_of_headers(store: Store) -> None:
    found = run_json(store.run(create(store, by="ann")))
    assert "hidden" not in str(found)
    assert found["spec"]["headers"] == {"Authorization": "***"}
    assert found["spec"]["shares"][0]["profile"] == "hold 4/s for 1m"
    assert found["spec"]["objectives"] == ["p95 < 300ms"]
    assert found["by"] == "ann"


def test_letters_go_on_after_z() -> None:
    assert [letter(number) for number in (0, 25, 26, 27, 701, 702)] == [
        "A", "Z", "AA", "AB", "ZZ", "AAA",
    ]  # fmt: skip
