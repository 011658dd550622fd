"""`rascal runs`: what it prints, what it refuses, and with which status."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from store.made_runs import FILES, PLAN, a_run, reports

from rascal.cli.app import rascal
from rascal.cli.completion import Bash, words_of
from rascal.load.types import Event
from rascal.store import Store

Runs = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "runs.db"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path / "runs.db"


@pytest.fixture
def runs(path: Path) -> Runs:
    def call(*words: str) -> Result:
        return CliRunner().invoke(rascal, ["runs", *words], prog_name="rascal")

    return call


@pytest.fixture
def kept(path: Path) -> Iterator[Store]:
    """Three runs that have ended; the third is much worse."""
    with Store(path) as store:
        a_run(store, seconds=40)
        a_run(store, seed=2, seconds=40, about={"name": "evening", "labels": ["nightly"]})
        plan = {"seed": 3, "timeout": "2s"}
        a_run(store, seed=3, seconds=40, failing=0.4, slower=3.0, outcome="stopped", plan=plan)
        yield store


def cells(text: str, first: str) -> list[str]:
    """The words of the row that begins with that."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


# ---- list


def test_the_list_is_what_one_gets_without_a_word(kept: Store, runs: Runs) -> None:
    done = runs()
    assert done.exit_code == 0
    assert done.output.splitlines()[0].split() == [
        "RUN",
        "NAME",
        "KIND",
        "BEGAN",
        "TOOK",
        "OUTCOME",
        "STATUS",
        "LABELS",
    ]
    assert [line.split()[0] for line in done.output.splitlines()[1:]] == ["3", "2", "1"]
    assert cells(done.output, "2")[1:3] == ["evening", "load"]
    assert "nightly, planned" in done.output
    assert runs("list").output == done.output


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("--last", "1"), ["3"]),
        (("--label", "nightly"), ["2"]),
        (("--outcome", "completed"), ["2", "1"]),
        (("--outcome", "stopped", "--outcome", "lost"), ["3"]),
        (("list", "evening"), ["2"]),
        (("--kind", "experiment"), []),
    ],
)
def test_the_list_is_filtered(
    kept: Store, runs: Runs, words: tuple[str, ...], numbers: list[str]
) -> None:
    found = json.loads(runs(*words, "--json").stdout)
    assert [one["id"] for one in found] == numbers
    if not numbers:
        assert runs(*words).stderr == "no run is like that: rascal runs lists all\n"


def test_a_run_that_goes_on_and_one_that_is_lost(path: Path, runs: Runs) -> None:
    with Store(path) as store:
        store.create(PLAN, FILES)
        lost = store.create(PLAN, FILES, pid=2**22 + 7)
    assert "running" in cells(runs().output, "1")
    assert "lost" in cells(runs().output, lost)
    shown = runs("show", lost).output
    assert "is gone and left no word" in shown and "nothing was reported" in shown


def test_a_store_is_named_and_named_again(
    kept: Store, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "another.db"))
    given = ("--store", kept.path)
    assert cells(runs(*given).output, "1")
    assert f"rascal runs samples 1 --store {kept.path}" in runs("show", "1", *given).output
    assert runs("label", "1", "here", *given).exit_code == 0
    assert runs().exit_code != 0  # the other one is not there, and was not made


# ---- show


def test_a_run_in_words(kept: Store, runs: Runs) -> None:
    text = runs("show", "1").output
    for words in (
        "run 1  shop  completed, status 0",
        "hold 40/s for 1m by buy",
        "objective  p95(checkout) < 300ms",
        "Authorization=(masked)",
        "rascal=1.0",
        "Times count from when a call should have started",
        "! 1 seconds are not to be trusted",
        "! unsound: second ",
        "load starts",
        "2 failing exchanges were kept: rascal runs samples 1",
    ):
        assert words in text, words
    assert "hidden" not in text
    total = kept.total("1", "flow", "checkout")
    row = cells(text, "checkout")
    assert row[1] == f"{total.planned / 40:.1f}/s"
    assert row[2] == f"{total.outcomes['served'] / 40:.1f}/s"
    corrected = f"{total.served.percentile(50) * 1000:.1f}ms"
    assert row[5] == corrected and len(row) == 13
    assert "p95(checkout) < 300ms  52.1ms" in text
    assert "1 s: lag" in text
    assert [line for line in text.splitlines() if line.startswith("all ")]


def test_show_for_programs(kept: Store, runs: Runs) -> None:
    found = json.loads(runs("show", "evening", "--json").stdout)
    assert (found["id"], found["state"], found["labels"]) == ("2", "ended", ["nightly", "planned"])
    assert found["flows"]["checkout"]["planned"] == kept.total("2", "flow", "checkout").planned
    assert found["agents"]["agent-1"] == {"seconds": 40, "unsound": 1}
    assert found["plan"]["headers"] == {"Authorization": "(masked)"}


# ---- compare


def test_like_runs_show_no_difference(kept: Store, runs: Runs) -> None:
    done = runs("compare", "shop", "evening", "--fail")
    assert done.exit_code == 0
    text = runs("compare", "1", "evening").output
    assert "no difference seen (" in text and "All ranges together hold with 95 %" in text
    assert "seed: 1 → 2" in text


def test_a_worse_run(kept: Store, runs: Runs) -> None:
    done = runs("compare", "1", "3", "--flow", "checkout", "--fail")
    assert done.exit_code == 1
    rows = {
        line.split()[1]: line for line in done.output.splitlines() if line.startswith("checkout ")
    }
    assert set(rows) >= {"served", "goodput", "p50", "p95", "timeout", "http_5xx"}
    for name in ("served", "p50", "timeout"):
        assert "worse by" in rows[name] and " to " in rows[name]
    assert "points" in rows["served"] and "ms" in rows["p50"]
    assert "timeout: none → 2s" in done.output
    assert "end: completed → stopped (one of them is not whole)" in done.output
    assert runs("compare", "3", "1", "--flow", "checkout", "--fail").exit_code == 0
    found = json.loads(runs("compare", "1", "3", "--json").stdout)
    assert found["worse"] and found["schema"] == "rascal-comparison/1"
    one = next(f for f in found["findings"] if (f["flow"], f["measure"]) == ("checkout", "p50"))
    assert one["change"]["low"] > 0 and one["ratio"]["low"] > 2


def test_a_comparison_of_a_part(kept: Store, runs: Runs) -> None:
    whole = runs("compare", "1", "3", "--flow", "checkout").output
    part = runs("compare", "1", "3", "--flow", "checkout", "--from", "5s", "--to", "20s").output
    assert cells(part, "checkout") != cells(whole, "checkout")
    assert runs("compare", "1", "3", "--confidence", "101").exit_code == 2


# ---- events, samples, sources


def test_events_and_samples(kept: Store, runs: Runs) -> None:
    text = runs("events", "1").output
    assert text.splitlines()[1].split() == ["0s", "started", "load", "starts"]
    assert runs("events", "1", "--kind", "unsound").output.count("agent-") == 2
    found = json.loads(runs("events", "--json").stdout)
    assert [one["kind"] for one in found] == ["started", "unsound", "unsound"]
    text = runs("samples", "1").output
    assert "no reply in 30s" in text and "POST http://127.0.0.1:8080/checkout" in text
    assert len(runs("samples", "--last", "1").output.splitlines()) == 2
    assert runs("samples", "--flow", "catalogue").stderr == "no such exchange was kept\n"
    full = runs("samples", "1", "--full").output
    assert "Host: x·[2J" in full and "\x1b" not in full
    assert len(json.loads(runs("samples", "--json").stdout)) == 2


def test_sources_are_written_for_another_run(kept: Store, runs: Runs, tmp_path: Path) -> None:
    assert cells(runs("sources").output, "shop.py")[1] == str(len(FILES["shop.py"]))
    done = runs("sources", "1", "--into", "again")
    assert done.exit_code == 0
    assert (tmp_path / "again" / "shop.py").read_bytes() == FILES["shop.py"]
    done = runs("sources", "1", "--into", "again")
    assert done.exit_code == 2 and "is there already" in done.stderr
    run = kept.create(PLAN, {"../../out.py": b"x"})
    done = runs("sources", run, "--into", "again")
    assert done.exit_code == 2 and "would not lie in again" in done.stderr
    assert not (tmp_path.parent / "out.py").exists()


# ---- files


def test_export_and_import(
    kept: Store, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = runs("export", "1", "one.rascal", "--json", "one.json", "--csv", "tables/")
    assert done.exit_code == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "tables")) == [
        "agents.csv",
        "events.csv",
        "samples.csv",
        "seconds.csv",
        "totals.csv",
    ]
    runs("export", "1", "--csv", "one.csv")
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "tables/seconds.csv").read_text()
    shown = runs("export", "1", "--json", "-").stdout
    assert json.loads(shown) == json.loads((tmp_path / "one.json").read_text())
    done = runs("export", "1", "--json", "one.json")
    assert (done.exit_code, "--force" in done.stderr) == (2, True)
    assert runs("export", "1", "one.rascal", "--json", "one.json", "--force").exit_code == 0
    assert runs("export", "1").exit_code == 2
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "elsewhere.db"))
    done = runs("import", "one.rascal")
    assert (done.exit_code, done.output.split(",")[0]) == (0, "run 1: shop")
    assert (
        json.loads(runs("export", "1", "--json", "-").stdout)["flows"] == json.loads(shown)["flows"]
    )
    assert runs("import", "one.json").exit_code == 2


def test_the_log_is_read_by_the_library_of_others(kept: Store, runs: Runs, tmp_path: Path) -> None:
    log = pytest.importorskip("hdrh.log")
    from hdrh.histogram import HdrHistogram

    assert runs("export", "1", "--hdr", "one.hlog").exit_code == 0
    reference = HdrHistogram(1, 86_400_000_000, 2)
    reader = log.HistogramLogReader(str(tmp_path / "one.hlog"), reference)
    total = HdrHistogram(1, 86_400_000_000, 2)
    while (one := reader.get_next_interval_histogram()) is not None:
        if one.get_tag() == "checkout":
            total.add(one)
    reader.close()
    served = kept.total("1", "flow", "checkout").served
    assert total.get_total_count() == served.count
    assert total.get_value_at_percentile(95) == pytest.approx(served.percentile(95) * 1e6, rel=0.01)


# ---- label, delete


def test_labels_are_given_and_taken(kept: Store, runs: Runs) -> None:
    assert runs("label", "1", "baseline").output == "run 1 (shop): baseline, planned\n"
    done = runs("label", "1", "--remove", "planned")
    assert done.output == "run 1 (shop): baseline\n"
    done = runs("label", "1", "--remove", "planned")
    assert done.exit_code == 2
    assert done.stderr == "error: run 1 has no label 'planned'; labels: baseline\n"
    assert json.loads(runs("label", "1", "--json").stdout)["labels"] == ["baseline"]
    assert runs("label", "1", "a,b").exit_code == 2


def test_deleting(kept: Store, runs: Runs) -> None:
    done = runs("delete", "1")
    assert done.exit_code == 2 and "nobody is there to be asked" in done.stderr
    done = runs("delete", "shop", "--yes")
    assert done.stderr == "error: 'shop' are 2 runs: 3, 1; give the numbers\n"
    going = kept.create(PLAN, FILES, name="going")
    done = runs("delete", "1", "going", "--yes")
    assert done.exit_code == 2 and f"rascal load stop {going}" in done.stderr
    assert len(kept.runs()) == 4  # all or none
    done = runs("delete", "1", "evening", "--yes")
    assert (done.exit_code, done.output) == (0, "deleted 2 runs: 1, 2\n")
    assert [run.id for run in kept.runs()] == [going, "3"]


def test_deleting_asks_on_a_terminal(kept: Store, path: Path) -> None:
    for answer, left in (("n", 3), ("y", 2)):
        main, other = pty.openpty()
        code = "from rascal.cli import main; main()"
        with subprocess.Popen(
            [sys.executable, "-c", code, "runs", "delete", "1"],
            stdin=other,
            stdout=other,
            stderr=other,
            env={**os.environ, "COLUMNS": "100"},
        ) as asked:
            os.close(other)
            try:
                shown = _until(main, "for good?")
                os.write(main, f"{answer}\n".encode())
                status = asked.wait(20)
            finally:
                asked.kill()
                os.close(main)
        assert "1  shop  completed" in shown
        assert status == (0 if answer == "y" else 2)
        assert len(kept.runs()) == left


def _until(terminal: int, words: str) -> str:
    text, end = "", time.monotonic() + 20
    while words not in text:
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 4096).decode()
    return text


# ---- what is wrong


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("show", "99"), "error: there is no run '99'; runs: 3, 2, 1, shop, evening"),
        (("show", "evning"), "Did you mean 'evening'?"),
        (("compare", "1", "1"), "error: '1' and '1' are the same run, 1: name two"),
        (("compare", "1", "3", "--flow", "x"), "in common; flows: catalogue, checkout"),
        (("export", "1", "/nowhere/x"), "error: /nowhere/x: cannot be made"),
        (("export", "1", "--csv", "/nowhere/x"), "error: /nowhere/x: cannot be written"),
        (("import", "none"), "error: none: there is no such file"),
    ],
)
def test_one_clear_line(kept: Store, runs: Runs, words: tuple[str, ...], line: str) -> None:
    done = runs(*words)
    assert done.exit_code == 2 and not done.stdout
    assert line in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_nearest_command(runs: Runs) -> None:
    done = runs("shwo")
    assert done.exit_code == 2
    assert "runs has no command 'shwo'; commands: list, show, " in done.stderr
    assert "Did you mean 'show'?" in done.stderr
    assert "rascal runs show 17" in runs("17").stderr


def test_no_store_and_no_good_one(path: Path, runs: Runs) -> None:
    done = runs()
    assert (done.exit_code, done.stderr) == (
        2,
        f"error: {path}: there is no run store yet; rascal load run makes one\n",
    )
    assert not path.exists()
    path.write_bytes(b"x" * 5000)
    assert "damaged, or not a run store" in runs().stderr
    path.unlink()
    Store(path).close()
    assert runs().stderr == "nothing has run yet: rascal load run FILE\n"
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 77")
    other.close()
    assert "written by a newer Rascal (version 77" in runs("show").stderr


def test_what_a_shell_is_offered(kept: Store) -> None:
    def offers(line: str) -> list[str]:
        words, incomplete = words_of(f"rascal {line}")
        bash = Bash(rascal, {}, "rascal", "_RASCAL_COMPLETE")
        return [item.value for item in bash.get_completions(words, incomplete)]

    assert offers("runs ")[:3] == ["list", "show", "compare"]
    assert offers("runs show ") == ["last", "3", "2", "1", "shop", "evening"]
    assert offers("runs show e") == ["evening"]
    assert offers("runs compare 1 e") == ["evening"]
    assert offers("runs compare 1 3 --flow ch") == ["checkout"]
    assert offers("runs list --label n") == ["nightly"]
    assert offers("runs delete 2") == ["2"]


def test_no_store_offers_nothing(path: Path) -> None:
    words, incomplete = words_of("rascal runs show ")
    bash: Any = Bash(rascal, {}, "rascal", "_RASCAL_COMPLETE")
    assert bash.get_completions(words, incomplete) == []
    assert not path.exists()


def test_many_events_are_cut(path: Path, runs: Runs) -> None:
    with Store(path) as store:
        run = store.create(PLAN, FILES)
        for report in reports(seconds=3):
            store.add(run, report)
        for number in range(30):
            store.event(run, Event(second=float(number), kind="note", text=f"note {number}"))
    assert f"and 10 more: rascal runs events {run}" in runs("show").output
