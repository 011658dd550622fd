"""What goes in comes out: exactly, once, and never changed."""

from __future__ import annotations

import random
import sqlite3
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.made_runs import FILES, PLAN, a_row, a_run, reports, same_row

from rascal.histogram import Histogram
from rascal.load import types
from rascal.load.packing import pack, pack_row, unpack, unpack_row
from rascal.load.results import Results
from rascal.load.types import Event, Meters, Report, Row
from rascal.store import Ended, Store, StoreError
from rascal.store.database import default_path
from rascal.store.rows import pack_meters, unpack_meters


def test_it_is_a_run_store(store: Store) -> None:
    kept: types.RunStore = store
    assert kept.requests(kept.create({}, {})) == []


def test_a_run_is_kept_as_it_was_told(store: Store) -> None:
    run = store.create(
        PLAN,
        FILES,
        versions={"rascal": "1.0"},
        seed=7,
        labels=["nightly"],
        host="elsewhere",
        command="rascal load run",
    )
    store.begin(run, 1_700_000_000.5)
    found = store.run(run)
    assert found.plan == PLAN and store.sources(run) == FILES
    assert (found.id, found.name, found.kind, found.seed) == (run, "shop", "load", 7)
    assert found.labels == ("nightly", "planned")
    assert (found.host, found.about) == ("elsewhere", {"command": "rascal load run"})
    assert (found.started, found.ended, found.state) == (1_700_000_000.5, None, "running")
    store.finish(run, "stopped", {"status": 4, "why": "failed > 50%"})
    found = store.run(run)
    assert (found.outcome, found.status, found.state) == ("stopped", 4, "ended")
    assert found.summary == {"status": 4, "why": "failed > 50%"} and found.ended is not None


def test_reports_come_back_as_they_were(store: Store) -> None:
    run = a_run(store)
    given = list(reports())
    found = [report for _, report in store.reports(run)]
    assert len(found) == len(given)
    for one, other in zip(given, found, strict=True):
        assert list(one.rows) == list(other.rows)
        assert all(same_row(one.rows[key], other.rows[key]) for key in one.rows)
        for field in attrs.fields(Report):
            if field.name not in ("run", "rows"):
                assert getattr(one, field.name) == getattr(other, field.name), field.name


def test_results_are_rebuilt(store: Store) -> None:
    run = a_run(store)
    given = Results(run)
    for report in reports():
        given.add(report)
    found = store.results(run)
    assert list(found.flows) == list(given.flows) == ["catalogue", "checkout"]
    for kind, names in (("flow", given.flows), ("scenario", given.scenarios)):
        for name in names:
            mine, theirs = given.rows(kind, name), found.rows(kind, name)
            assert list(mine) == list(theirs) == sorted(store.series(run, kind, name))
            assert all(same_row(mine[second], theirs[second]) for second in mine)
            # And what the store adds up itself is the same.
            series = store.series(run, kind, name)
            assert all(same_row(mine[second], series[second]) for second in mine)
            assert same_row(given.total(kind, [name]), store.total(run, kind, name))
            assert same_row(given.total(kind, [name]), store.total(run, kind, name))  # as kept
    assert found.samples == given.samples and found.events == given.events
    assert store.meters(run) == {agent: dict(meters) for agent, meters in given.meters.items()}


def test_a_report_counts_once(store: Store, path: Path) -> None:
    run = store.create(PLAN, FILES)
    given = list(reports())
    draw = random.Random(3)
    sent = given * 3
    draw.shuffle(sent)
    assert sum(store.add(run, report) for report in sent) == len(given)
    # Also over a restart of the process, and if two write at once.
    with Store(path) as other:
        assert not any(other.add(run, report) for report in given)
    total = store.total(run, "flow", "checkout")
    assert total.planned == sum(
        row.planned for report in given for key, row in report.rows.items() if key[1] == "checkout"
    )


def test_amounts_that_were_taken_back(store: Store) -> None:
    run = store.create(PLAN, FILES)
    first, second = Row(), Row()
    first.started, first.outcomes = 1, {"served": 1}
    first.served.record(5000)
    second.outcomes = {"served": -1, "check_failed": 1}
    second.served.record(5000, -1)
    for sequence, row in enumerate((first, second)):
        store.add(
            run,
            Report(run=run, agent="a", sequence=sequence, second=0, rows={("flow", "x", 0): row}),
        )
    found = store.series(run, "flow", "x")[0]
    assert found.started == 1 and found.served.count == 0
    assert found.outcomes["check_failed"] == 1 and not found.outcomes["served"]


def test_what_has_run_is_never_changed(store: Store, path: Path) -> None:
    run = a_run(store)
    bare = sqlite3.connect(path)
    for change in (
        "UPDATE runs SET plan = '{}'",
        "UPDATE runs SET seed = 9",
        "UPDATE runs SET outcome = 'failed'",
        "UPDATE sources SET content = x'00'",
        "UPDATE files SET digest = 'x'",
        "INSERT INTO reports VALUES (NULL, 1, 'z', 0, 0, 0)",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            bare.execute(change)
    bare.close()
    with pytest.raises(Ended, match="run 1 has ended"):
        store.add(run, next(reports(9)))
    with pytest.raises(Ended):
        store.finish(run, "failed", {})
    assert store.run(run).outcome == "completed"


def test_a_run_that_another_ended_takes_nothing_more(store: Store, path: Path) -> None:
    run = store.create(PLAN, FILES)
    with Store(path) as other:
        other.finish(run, "aborted", {})
    with pytest.raises(Ended, match="has ended"):
        store.add(run, next(reports()))
    with pytest.raises(Ended):
        store.event(run, Event(second=0, kind="note", text="x"))


def test_a_fork_is_a_plan_of_its_own(store: Store) -> None:
    run = a_run(store)
    fork = store.fork(run)
    fork.plan["target"] = "http://127.0.0.1:9"
    fork.files["shop.py"] = b"# other\n"
    new = store.create(fork.plan, fork.files, forked_from=fork.forked_from)
    assert store.run(new).forked_from == run
    assert store.run(run).plan == PLAN and store.sources(run) == FILES
    assert store.run(new).plan["target"] == "http://127.0.0.1:9"


def test_a_file_is_kept_once(store: Store) -> None:
    for _ in range(3):
        store.create(PLAN, FILES)
    assert store.database.select("SELECT count(*) FROM sources") == [(len(FILES),)]


def test_requests_are_taken_once(store: Store, path: Path) -> None:
    run = store.create(PLAN, FILES)
    with Store(path) as other:
        other.ask("last", "stop", now=True)
        assert not other.taken(run)
        other.ask(run, "change", profile="hold 10/s")
    found = store.requests(run)
    assert [(one["kind"], one.get("now"), one.get("profile")) for one in found] == [
        ("stop", True, None),
        ("change", None, "hold 10/s"),
    ]
    assert store.requests(run) == [] and store.taken(run)
    with pytest.raises(StoreError, match="cannot be asked to 'dance'"):
        store.ask(run, "dance")
    store.finish(run, "interrupted", {})
    with pytest.raises(StoreError, match=r"has ended: interrupted"):
        store.ask(run, "stop")


def test_what_experiments_keep(store: Store) -> None:
    run = store.create(PLAN, {}, kind="experiment", name="checkout-slow")
    store.put(run, "phases", [{"name": "baseline", "start": 0, "end": 20.5}])
    store.put(run, "verdict", {"word": "graceful"})
    store.put(run, "verdict", {"word": "degraded"})
    assert store.data(run) == {
        "phases": [{"name": "baseline", "start": 0, "end": 20.5}],
        "verdict": {"word": "degraded"},
    }
    assert store.run("checkout-slow").kind == "experiment"
    with pytest.raises(StoreError, match="kinds: load, experiment"):
        store.create(PLAN, {}, kind="lunch")


def test_a_follower_gets_each_report_and_event_once(store: Store, path: Path) -> None:
    run = store.create(PLAN, FILES)
    seen: list[tuple[str, int]] = []
    texts: list[str] = []
    last = event = 0
    with Store(path, readonly=True) as other:
        for number, report in enumerate(reports()):
            store.add(run, report)
            store.event(run, Event(second=float(number), kind="note", text=str(number)))
            if number % 5 == 0 or report.last:
                for at, found in other.reports(run, last):
                    last = at
                    seen.append((found.agent, found.sequence))
                    assert found.rows
                for at, one in other.news(run, event):
                    event = at
                    if one.kind == "note":
                        texts.append(one.text)
    assert seen == [(one.agent, one.sequence) for one in reports()]
    assert texts == [str(number) for number in range(len(seen))]


def test_only_the_owner_may_read_it(store: Store, path: Path) -> None:
    store.create(PLAN, FILES)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "mine.db"))
    assert default_path() == tmp_path / "mine.db"
    monkeypatch.delenv("RASCAL_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path() == tmp_path / "rascal" / "runs.db"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".local" / "share" / "rascal" / "runs.db"


def test_what_no_table_holds_does_not_stop_the_rest(store: Store) -> None:
    run = store.create({**PLAN, "name": "caf\udce9"}, FILES)
    big, good = Row(), Row()
    big.planned, good.planned = 2**70, 5
    for sequence, row in enumerate((big, good)):
        rows = {("flow", "\udcff odd", 0): row}
        assert store.add(run, Report(run=run, agent="a", sequence=sequence, second=0, rows=rows))
    store.event(run, Event(second=1, kind="note", text="\udc80", data={"path": Path("/x")}))
    lost, odd = store.events(run)
    assert (lost.kind, odd.data) == ("reports_lost", {"path": "/x"})
    assert "agent a reported could not be kept" in lost.text
    assert store.series(run, "flow", "? odd")[0].planned == 5


def test_sums_are_made_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(store)
    first = store.total(run, "flow", "checkout")

    def never(*_: object) -> object:
        raise AssertionError("read again")

    monkeypatch.setattr(store, "_rows", never)
    assert same_row(store.total(run, "flow", "checkout"), first)


# ---- how rows are packed


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    found = Histogram()
    for value, times in draw(
        st.lists(st.tuples(st.integers(0, 2**36), st.integers(-(2**20), 2**20)), max_size=30)
    ):
        if times:
            found.record(value, times)
    return found


@given(st.lists(histograms(), max_size=4))
def test_histograms_come_back(given: list[Histogram]) -> None:
    data, at = b"".join(pack(one) for one in given), 0
    for one in given:
        found, at = unpack(data, at)
        assert found == one
    assert at == len(data)


@given(st.integers(0, 2**32))
def test_rows_come_back(seed: int) -> None:
    draw = random.Random(seed)
    row = a_row(draw, draw.randrange(30))
    row.reduced, row.dropped = draw.randrange(5), -draw.randrange(5)
    assert same_row(unpack_row(pack_row(row)), row)


def test_all_fields_of_a_row_are_kept() -> None:
    row = Row()
    for number, name in enumerate(Row.__slots__, 1):
        value: Any = getattr(row, name)
        if isinstance(value, int):
            setattr(row, name, number)
        elif isinstance(value, dict):
            value["x"] = number
        else:
            value.record(number)
    assert same_row(unpack_row(pack_row(row)), row)


def test_all_meters_are_kept() -> None:
    meters = Meters()
    for number, field in enumerate(attrs.fields(Meters), 1):
        value = getattr(meters, field.name)
        if isinstance(value, int | float):
            setattr(meters, field.name, type(value)(number))
    meters.unsound = ("lag", "cpu")
    meters.lateness.record(12)
    assert unpack_meters(*pack_meters(meters)) == meters
