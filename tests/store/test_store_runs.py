"""Finding runs, comparing them, and taking them to another machine."""

from __future__ import annotations

import csv
import json
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from store.made_runs import FILES, PLAN, a_run, reports, same_row

from rascal.load.types import Row
from rascal.store import Run, Store, StoreError
from rascal.store.archive import export_archive, import_archive
from rascal.store.compare import Finding, compare, comparison_json, findings
from rascal.store.export import csv_tables, export_json
from rascal.store.masking import masked
from rascal.store.setting import differences

# ---- which run is meant


@pytest.fixture
def several(store: Store) -> Store:
    for name, outcome in (("shop", "completed"), ("cart", "stopped"), ("checkout", "completed")):
        a_run(store, about={"name": name}, outcome=outcome, seconds=1)
    a_run(store, about={"name": "shop", "labels": ["nightly"]}, outcome="failed", seconds=1)
    return store


@pytest.mark.parametrize(
    ("which", "number"),
    [("1", "1"), ("#2", "2"), ("last", "4"), ("shop", "4"), ("cart", "2"), ("ch", "3")],
)
def test_a_run_is_named(several: Store, which: str, number: str) -> None:
    assert several.run(which).id == number


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("c", "'c' could mean several runs: checkout, cart"),
        ("shp", "there is no run 'shp'; runs: 4, 3, 2, 1, shop, checkout, cart. Did you mean"),
        ("99", "there is no run '99'; runs: 4, 3, 2, 1"),
        ("9" * 40, "there is no run"),
        ("²", "there is no run"),
        ("", "there is no run ''"),
    ],
)
def test_a_run_that_is_not_there(several: Store, which: str, words: str) -> None:
    with pytest.raises(StoreError) as caught:
        several.run(which)
    assert words in str(caught.value)


def test_an_empty_store(store: Store) -> None:
    assert store.runs() == []
    for which in ("last", "shop"):
        with pytest.raises(StoreError, match="nothing has run yet"):
            store.run(which)


def ids(found: list[Run]) -> list[str]:
    return [run.id for run in found]


def test_runs_are_filtered(several: Store) -> None:
    assert ids(several.runs()) == ["4", "3", "2", "1"]
    assert ids(several.runs(last=2)) == ["4", "3"]
    assert ids(several.runs(outcomes=["completed"])) == ["3", "1"]
    assert ids(several.runs(outcomes=["completed"], last=1)) == ["3"]
    assert ids(several.runs(outcomes=["failed", "stopped"])) == ["4", "2"]
    assert ids(several.runs(name="shop")) == ["4", "1"]
    assert ids(several.runs(labels=["nightly"])) == ["4"]
    assert ids(several.runs(labels=["nightly", "planned"])) == ["4"]
    assert ids(several.runs(labels=["nightly", "other"])) == []
    assert ids(several.runs(kind="experiment")) == []


def test_labels(several: Store) -> None:
    assert several.label("1", ["baseline", "planned"]).labels == ("baseline", "planned")
    assert several.label("1", [], ["planned"]).labels == ("baseline",)
    assert several.labels() == ["baseline", "nightly", "planned"]
    for wrong in ("", " ", "a,b", "x" * 65, "a\nb"):
        with pytest.raises(StoreError, match="cannot be a label"):
            several.label("1", [wrong])


# ---- comparing


def made(seed: int, **given: Any) -> dict[str, dict[int, Row]]:
    """Series of a run as they would be read."""
    found: dict[str, dict[int, Row]] = {}
    for report in reports(seed, agents=1, **given):
        for (kind, name, second), row in report.rows.items():
            if kind == "flow":
                found.setdefault(name, {}).setdefault(second, Row()).add(row)
    return found


def found_between(one: Any, other: Any) -> list[Finding]:
    return findings({name: (one[name], other[name]) for name in one}, 0.95)


def test_like_runs_seldom_seem_to_differ() -> None:
    rounds, wrong = 60, 0
    for seed in range(rounds):
        pair = [made(seed * 2 + at, seconds=40) for at in (0, 1)]
        found = found_between(*pair)
        wrong += any(one.verdict in ("better", "worse") for one in found)
    assert wrong <= 8  # at 5 % more than 8 of 60 come once in 500 times


def test_differences_are_seen_and_lie_where_it_says() -> None:
    hits, seen, rounds = 0, 0, 30
    for seed in range(rounds):
        before = made(seed, seconds=40, calls=20)
        after = made(1000 + seed, seconds=40, calls=20, slower=1.4, failing=0.2)
        found = {(one.flow, one.measure): one for one in found_between(before, after)}
        share, median = found["checkout", "served"], found["checkout", "p50"]
        assert share.verdict == median.verdict == "worse"
        assert share.change is not None and median.change is not None
        truth = 0.4 * 0.022026  # the median of the lognormal that `a_row` draws from
        hits += share.change.low <= -0.15 <= share.change.high
        seen += median.change.low <= truth <= median.change.high
    assert hits >= 28 and seen >= 28


def test_better_is_the_other_way_round() -> None:
    slow, fast = made(1, seconds=40, slower=2.0, failing=0.3), made(2, seconds=40)
    there = {(f.flow, f.measure): f.verdict for f in found_between(slow, fast)}
    back = {(f.flow, f.measure): f.verdict for f in found_between(fast, slow)}
    for measure in ("served", "p50", "p95", "goodput", "timeout"):
        assert there["checkout", measure] == "better", measure
        assert back["checkout", measure] == "worse", measure


def test_what_cannot_be_said_is_not_said() -> None:
    one, other = made(1, seconds=3), made(2, seconds=3)
    found = {(f.flow, f.measure): f for f in found_between(one, other)}
    assert found["checkout", "p99"].verdict == "too few calls"
    assert found["checkout", "p99"].values[0] > 0
    assert found["checkout", "goodput"].verdict == "too few calls"
    other_load = findings({"checkout": (one["checkout"],) * 2}, 0.95, same_load=False)
    rate = next(f for f in other_load if f.measure == "goodput")
    assert (rate.verdict, rate.why) == ("not compared", "the runs had other profiles")


def test_no_calls_at_all() -> None:
    empty: dict[int, Row] = {}
    found = findings({"x": (empty, empty)}, 0.95)
    assert [(one.measure, one.verdict) for one in found] == [("served", "too few calls")]
    found = findings({"x": (empty, made(1, seconds=20)["checkout"])}, 0.95)
    assert {one.verdict for one in found} == {"too few calls"}


def goodput(one: dict[int, Row], other: dict[int, Row], whole: tuple[bool, bool]) -> Finding:
    found = findings({"x": (one, other)}, 0.95, whole=whole)
    return next(one for one in found if one.measure == "goodput")


def test_rates_are_those_of_the_seconds_that_both_have() -> None:
    long = made(1, seconds=40, flows=("x",), failing=0.0)["x"]
    short = made(2, seconds=20, flows=("x",), failing=0.0)["x"]
    cut = {**short, 19: Row()}
    del long[0]
    found = goodput(long, short, (True, True))
    assert found.verdict == "no difference seen" and found.calls == (380, 370)
    assert goodput(long, cut, (True, False)).values[1] == 20.0
    assert goodput(long, cut, (True, True)).values[1] < 20.0


def test_longer_is_no_other_load(store: Store) -> None:
    shares = [{**PLAN["shares"][0], "profile": [{"shape": "hold", "level": "40/s", "for": "9m"}]}]
    other = [{**PLAN["shares"][0], "profile": [{"shape": "hold", "level": "41/s", "for": "1m"}]}]
    a_run(store, seconds=2)
    a_run(store, seconds=2, plan={"shares": shares})
    a_run(store, seconds=2, plan={"shares": other})
    runs = [store.run(str(number)) for number in (1, 2, 3)]
    whats = [{one.what for one in differences(store, runs[0], run)} for run in runs]
    assert whats[0] == set() and whats[1] == {"length"} and whats[2] == {"profile"}


def test_two_kept_runs(store: Store) -> None:
    a_run(store, seconds=30)
    a_run(store, seed=2, seconds=30, slower=2.0, flows=("checkout", "new"))
    found = compare(store, "1", "2")
    assert found.findings[0].flow == "checkout"
    assert found.worse and found.only_before == ("catalogue",) and found.only_after == ("new",)
    assert {one.what for one in found.settings} == {"seed", "unsound seconds"}
    json.dumps(comparison_json(found), allow_nan=False)
    early = compare(store, "1", "2", first=0, last=10)
    assert early.findings[0].calls[0] < found.findings[0].calls[0]
    with pytest.raises(StoreError, match="are the same run, 2"):
        compare(store, "2", "last")
    a_run(store, seed=3, seconds=30)
    every = compare(store, "1", "3")
    flows = list(dict.fromkeys(one.flow for one in every.findings))
    assert flows == ["all", "catalogue", "checkout"]
    assert {one.flow for one in compare(store, "1", "3", flows=["checkout"]).findings} == {
        "checkout"
    }


def test_what_was_not_the_same(store: Store) -> None:
    a_run(store)
    shares = [{**PLAN["shares"][0], "max_in_flight": 5}]
    other = {"target": "http://other", "shares": shares, "timeout": "2s"}
    other["headers"] = {"Authorization": "Bearer other", "X": "1"}
    run = store.create(
        {**PLAN, **other},
        {**FILES, "shop.py": b"# other\n"},
        versions={"rascal": "2.0"},
        seed=9,
    )
    for report in reports(agents=3, seconds=6):
        store.add(run, report)
    store.finish(run, "stopped", {})
    found = {one.what: one for one in differences(store, store.run("1"), store.run("2"))}
    assert set(found) == {
        "shop.py",
        "profile",
        "seed",
        "target",
        "agents",
        "timeout",
        "headers",
        "version of rascal",
        "end",
        "unsound seconds",
    }
    assert (found["agents"].before, found["agents"].after) == ("2", "3")
    assert "Bearer" not in str(found["headers"])
    unsound = found["unsound seconds"]
    assert (unsound.before, unsound.after) == ("1 of 12", "1 of 6")
    assert found["end"].meaning == "one of them is not whole"


# ---- other files


def test_a_run_goes_to_another_machine_and_back(store: Store, tmp_path: Path) -> None:
    run = a_run(store)
    store.put(run, "verdict", {"word": "graceful"})
    file = tmp_path / "run.rascal"
    export_archive(store.database, run, str(file))
    assert sorted(os.listdir(tmp_path)) == ["data", "run.rascal"]
    assert file.stat().st_mode & 0o777 == 0o600
    with Store(tmp_path / "there.db") as there:
        a_run(there, seed=5, seconds=2)
        assert import_archive(there.database, str(file)) == ["2"]
        mine, theirs = store.run(run), there.run("2")
        for name in ("uid", "name", "plan", "summary", "outcome", "state", "labels", "host"):
            assert getattr(mine, name) == getattr(theirs, name), name
        assert there.sources("2") == FILES and there.data("2") == store.data(run)
        assert there.events("2") == store.events(run)
        assert there.samples("2") == store.samples(run)
        assert there.meters("2") == store.meters(run)
        for (_, one), (_, other) in zip(store.reports(run), there.reports("2"), strict=True):
            assert list(one.rows) == list(other.rows)
            assert all(same_row(one.rows[key], other.rows[key]) for key in one.rows)
            assert (one.events, one.samples, one.last) == (other.events, other.samples, other.last)
        with pytest.raises(StoreError, match="is here already, as 2"):
            import_archive(there.database, str(file))
        assert len(there.runs()) == 2
        # A whole store is an archive too: what is not here yet is read in.
        assert import_archive(store.database, there.path) == ["2"]
        with pytest.raises(StoreError, match="all its 2 runs are here already"):
            import_archive(store.database, there.path)


def test_archives_that_cannot_be(store: Store, tmp_path: Path) -> None:
    run = a_run(store)
    going = store.create(PLAN, FILES)
    file = tmp_path / "run.rascal"
    with pytest.raises(StoreError, match="is running"):
        export_archive(store.database, going, str(file))
    export_archive(store.database, run, str(file))
    with pytest.raises(StoreError, match="is there already"):
        export_archive(store.database, run, str(file))
    with pytest.raises(StoreError, match="is no folder"):
        export_archive(store.database, run, str(file / "below"))
    whole = file.read_bytes()
    cases = [
        (b"", "not an archive"),
        (b"PK\x03\x04" + whole, "not an archive"),
        (whole[: len(whole) // 2], "damaged"),
        (whole[:20000] + os.urandom(30000) + whole[50000:], "damaged"),
    ]
    store.delete(run)
    before = len(store.runs())
    for content, words in cases:
        bad = tmp_path / "bad.rascal"
        bad.write_bytes(content)
        with pytest.raises(StoreError, match=words) as caught:
            import_archive(store.database, str(bad))
        assert str(bad) in str(caught.value)
    with pytest.raises(StoreError, match="there is no such file"):
        import_archive(store.database, str(tmp_path / "none"))
    newer = tmp_path / "newer.rascal"
    newer.write_bytes(whole)
    other = sqlite3.connect(newer)
    other.execute("PRAGMA user_version = 99")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="newer Rascal"):
        import_archive(store.database, str(newer))
    assert len(store.runs()) == before
    assert store.database.select("SELECT count(*) FROM reports") == [(0,)]


def test_the_json_holds_everything(store: Store) -> None:
    run = a_run(store)
    store.put(run, "phases", [1])
    text = "".join(export_json(store, run))
    assert "hidden" not in text
    found = json.loads(text)
    assert found["schema"] == "rascal-run/1"
    assert found["run"]["plan"]["headers"] == {"Authorization": "(masked)"}
    assert list(found["flows"]) == ["catalogue", "checkout"] and list(found["scenarios"]) == ["buy"]
    checkout = found["flows"]["checkout"]
    total = store.total(run, "flow", "checkout")
    assert checkout["total"]["planned"] == total.planned
    assert [one["second"] for one in checkout["seconds"]] == list(range(12))
    for name in ("planned", "started", "attempts", "sent"):
        assert sum(one[name] for one in checkout["seconds"]) == checkout["total"][name]
    served = checkout["total"]["served"]
    assert served["p95"] == total.served.percentile(95)
    assert sum(count for _, _, count in served["buckets_us"]) == served["count"]
    assert set(found["agents"]) == {"agent-1", "agent-2"}
    assert len(found["agents"]["agent-1"]) == 12
    assert found["agents"]["agent-1"][5]["unsound"] == ["lag"]
    assert len(found["events"]) == 3 and len(found["samples"]) == 2
    assert found["data"] == {"phases": [1]}
    assert len(found["files"]["shop.py"]) == 64


def test_a_run_without_results_as_json(store: Store) -> None:
    run = store.create({}, {})
    found = json.loads("".join(export_json(store, run)))
    assert found["flows"] == {} and found["agents"] == {} and found["run"]["state"] == "running"


def test_the_tables(store: Store) -> None:
    run = a_run(store)
    tables = {
        name: list(csv.DictReader("".join(lines).splitlines(keepends=True)))
        for name, lines in csv_tables(store, run).items()
    }
    assert [len(tables[name]) for name in ("totals", "agents", "events", "samples")] == [
        3,
        24,
        3,
        2,
    ]
    assert len(tables["seconds"]) == 3 * 12
    checkout = [one for one in tables["seconds"] if one["name"] == "checkout"]
    total = next(one for one in tables["totals"] if one["name"] == "checkout")
    for name in ("planned", "served", "timeout", "dropped", "served_count"):
        assert sum(int(one[name]) for one in checkout) == int(total[name]), name
    assert float(total["served_p95"]) == store.total(run, "flow", "checkout").served.percentile(95)
    assert tables["agents"][5]["unsound"] == "lag"
    assert tables["samples"][0]["request"].startswith("POST /checkout")


def test_a_table_is_no_program(store: Store) -> None:
    run = store.create(PLAN, FILES)
    report = next(reports(flows=("=cmd()",), agents=1))
    store.add(run, report)
    lines = list(csv_tables(store, run)["totals"])
    assert "flow,'=cmd()" in lines[1]


def test_secrets_are_masked_by_their_names() -> None:
    draw = random.Random(1)
    secret = f"s{draw.random()}"
    plan = {
        "headers": {"authorization": secret, "X-Api-Key": secret, "Accept": "x"},
        "options": {"db_password": secret, "user": "ann", "nested": [{"TOKEN": secret}]},
    }
    found = masked(plan)
    assert secret not in str(found) and found["options"]["user"] == "ann"
    assert plan["headers"]["authorization"] == secret
