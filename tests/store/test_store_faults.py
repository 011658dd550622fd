"""Full, locked, damaged, foreign, newer: one clear line, and nothing half done."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store.made_runs import FILES, PLAN, a_run, reports

from rascal.load.types import Event
from rascal.store import Busy, Store, StoreError
from rascal.store import database as database_module
from rascal.store import writing as writing_module
from rascal.store.errors import worded
from rascal.store.machine import alive, machine, process
from rascal.store.schema import VERSION

WRITER = """
import sys
sys.path.insert(0, {tests!r})
from store.made_runs import PLAN, FILES, reports
from rascal.store import Store
store = Store({path!r})
run = store.create(PLAN, FILES)
store.begin(run, 1.0)
print(run, flush=True)
for report in reports(seconds={seconds}, calls=3):
    store.add(run, report)
{end}
"""


def child(path: Path, seconds: int, end: str) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parent.parent)
    code = WRITER.format(tests=tests, path=str(path), seconds=seconds, end=end)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def until(done: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
    return found


# ---- other processes


def test_reading_while_another_process_writes(store: Store, path: Path) -> None:
    with child(path, 60, "store.finish(run, 'completed', {'status': 0}); store.close()") as writer:
        try:
            assert writer.stdout is not None
            run = writer.stdout.readline().strip()
            seen, last = 0, 0
            with Store(path, readonly=True) as reader:
                while True:
                    ended = reader.run(run).state == "ended"
                    for number, report in reader.reports(run, last):
                        last = number
                        seen += 1
                        assert report.rows and report.meters.cpu == 0.25  # whole or not there
                    if ended:
                        break
                assert seen == 120
            assert writer.wait(20) == 0
        finally:
            writer.kill()


def test_a_run_whose_process_died_is_lost(store: Store, path: Path) -> None:
    with child(path, 3, "import time; print('there', flush=True); time.sleep(60)") as writer:
        try:
            assert writer.stdout is not None
            run = writer.stdout.readline().strip()
            assert writer.stdout.readline() == "there\n"
            assert store.run(run).state == "running"
            with pytest.raises(StoreError, match=f"rascal load stop {run}"):
                store.delete(run)
            writer.send_signal(signal.SIGKILL)
            writer.wait(20)
        finally:
            writer.kill()
    found = store.run(run)
    assert (found.state, found.outcome) == ("lost", "")
    assert store.runs(outcomes=["lost"]) == [found] and not store.runs(outcomes=["running"])
    assert len(list(store.reports(run))) == 6  # all that was reported is there
    with pytest.raises(StoreError, match=r"is lost: its process on .* is gone"):
        store.ask(run, "stop")
    store.delete(run)
    assert store.runs() == []


def test_signs_of_life() -> None:
    me = os.getpid()
    assert alive(me, process(me), 1e6)  # here the process itself is asked
    assert not alive(me, f"{machine()} 1", 0.0)  # its number was given to another since
    assert not alive(2**22 + 1, process(me), 0.0)
    assert alive(me, "elsewhere boot pid 1", 5.0)  # elsewhere only its reports tell
    assert not alive(me, "elsewhere boot pid 1", 300.0)
    assert alive(None, None, 5.0) and not alive(None, None, 300.0)


def test_reports_and_looks_are_signs_of_life(path: Path) -> None:
    times = [1000.0]
    with Store(path, now=lambda: times[0]) as store:
        run = store.create(PLAN, FILES)
        for report in reports(seconds=20, agents=4):
            times[0] += 0.25
            store.add(run, report)
        assert times[0] - store.run(run).beat < 1.0
        times[0] += 7.0
        assert store.requests(run) == []
        assert store.run(run).beat == times[0]


def test_a_locked_file_does_not_stop_the_load(store: Store, path: Path) -> None:
    run = store.create(PLAN, FILES)
    given = list(reports())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for report in given[:10]:
        assert store.add(run, report)
        assert not store.add(run, report)
    store.event(run, Event(second=1.0, kind="note", text="meanwhile"))
    assert store.requests(run) == []
    assert time.monotonic() - began < 5.0
    assert list(store.reports(run)) == []
    other.execute("ROLLBACK")
    other.close()
    for report in given[10:]:
        assert store.add(run, report)
    assert [one.sequence for _, one in store.reports(run)] == [one.sequence for one in given]
    assert [one.text for _, one in store.news(run) if one.kind == "note"] == ["meanwhile"]


def test_locked_for_too_long(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "PENDING", 3)
    monkeypatch.setattr(writing_module, "PATIENCE", 0.05)
    run = store.create(PLAN, FILES)
    given = list(reports())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for report in given[:3]:
        assert store.add(run, report)
    for _ in range(2):
        with pytest.raises(Busy, match="locked"):
            store.add(run, given[3])
    with pytest.raises(Busy):
        store.finish(run, "completed", {})
    other.execute("ROLLBACK")
    other.close()
    assert store.add(run, given[3])  # what could not be kept may be given again
    store.finish(run, "completed", {})
    assert [one.sequence for _, one in store.reports(run)] == [one.sequence for one in given[:4]]


# ---- the disk


def test_a_full_disk_at_every_write(path: Path) -> None:
    """The file may not grow any more from one moment on, for many moments."""
    with Store(path) as store:
        a_run(store, seconds=2)
        pages = store.database.select("PRAGMA page_count")[0][0]
    refused: list[str] = []
    for room in range(0, 40, 3):
        with Store(path) as store:
            full = f"PRAGMA max_page_count = {pages + room}"
            store.database.connection.execute(full)
            kept: list[int] = []
            run = None
            try:
                run = store.create(PLAN, {"big.bin": os.urandom(3000)})
                for number, report in enumerate(reports(seconds=24)):
                    store.add(run, report)
                    kept.append(number)
                store.finish(run, "completed", {})
            except StoreError as error:
                refused.append(str(error))
            store.database.connection.execute("PRAGMA max_page_count = 1000000")
            if run is not None:
                found = [one for _, one in store.reports(run)]
                assert len(found) == len(kept)
                assert all(one.rows for one in found)
                if store.run(run).state == "running":
                    # There is room again: it goes on where it was.
                    for report in reports(seconds=24):
                        store.add(run, report)
                    store.finish(run, "completed", {})
                    assert len(list(store.reports(run))) == 48
                store.delete(run)
            assert store.database.select("PRAGMA integrity_check") == [("ok",)]
    assert len(refused) > 5
    assert all(f"{path}: the disk is full" in one for one in refused)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("SQLITE_FULL", "the disk is full"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_IOERR_WRITE", "the disk failed (ioerr_write)"),
        ("SQLITE_CORRUPT", "damaged"),
        ("SQLITE_TOOBIG", "larger than"),
        ("SQLITE_CANTOPEN", "there is no folder"),
        ("", "what SQLite said"),
    ],
)
def test_every_error_is_a_line_that_names_the_file(code: str, words: str) -> None:
    error = sqlite3.OperationalError("what SQLite said")
    error.sqlite_errorname = code
    text = str(worded(error, "/nowhere/runs.db"))
    assert text.startswith("/nowhere/runs.db: ") and words in text and "\n" not in text


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("these are notes, and quite long ones, of which nothing may be lost\n" * 9)
    foreign = tmp_path / "foreign.db"
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    newer = tmp_path / "newer.db"
    Store(newer).close()
    other = sqlite3.connect(newer)
    other.execute(f"PRAGMA user_version = {VERSION + 1}")
    other.commit()
    other.close()
    cases = [
        (text, "damaged, or not a run store"),
        (foreign, "a database, but not a run store"),
        (newer, f"written by a newer Rascal \\(version {VERSION + 1}"),
        (tmp_path, "that is a folder"),
        (text / "runs.db", "not a folder|cannot be made"),
    ]
    before = {file: file.read_bytes() for file in (text, foreign, newer)}
    for readonly in (False, True):
        for file, words in cases:
            if readonly and not file.is_file():
                continue
            with pytest.raises(StoreError, match=words) as caught:
                Store(file, readonly=readonly)
            assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert before == {file: file.read_bytes() for file in (text, foreign, newer)}
    with pytest.raises(StoreError, match="no run store yet"):
        Store(tmp_path / "none.db", readonly=True)
    assert not (tmp_path / "none.db").exists()


def test_damage_in_the_middle(path: Path) -> None:
    with Store(path) as store:
        run = a_run(store, seconds=30)
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data), 4096):
        data[at : at + 900] = os.urandom(900)
    path.write_bytes(data)

    def read() -> None:
        with Store(path, readonly=True) as store:
            store.run(run)
            store.results(run)

    with pytest.raises(StoreError, match="damaged"):
        read()


def test_readers_write_nothing(store: Store, path: Path) -> None:
    run = a_run(store)
    with Store(path, readonly=True) as reader:
        assert reader.total(run, "flow", "checkout").planned > 0
        for write in (
            lambda: reader.label(run, ["x"]),
            lambda: reader.delete(run),
            lambda: reader.put(run, "x", 1),
            lambda: reader.create(PLAN, {}),
        ):
            with pytest.raises(StoreError, match="read only"):
                write()
    assert store.run(run).labels == ("planned",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read(path: Path) -> None:
    with Store(path) as store:
        run = a_run(store, seconds=2)
    path.parent.chmod(0o500)
    try:
        with Store(path, readonly=True) as reader:
            assert reader.run(run).outcome == "completed"
        with pytest.raises(StoreError, match="cannot be written to"):
            Store(path)
        with pytest.raises(StoreError, match="cannot be made"):
            Store(path.with_name("other.db"))
    finally:
        path.parent.chmod(0o700)


# ---- the log beside the file


def test_the_log_is_folded_in_while_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "FOLD", 100_000)
    monkeypatch.setattr(database_module, "FOLD_EVERY", 0.0)
    with Store(path) as store:
        run = store.create(PLAN, FILES)
        for report in reports(seconds=40, calls=30):
            store.add(run, report)
        until(lambda: path.stat().st_size > 100_000)
        assert len(list(store.reports(run))) == 80
    assert not path.with_name("runs.db-wal").exists()  # the file alone is all of it


def test_deleting_makes_room(store: Store, path: Path) -> None:
    runs = [a_run(store, seed=seed, seconds=60) for seed in (1, 2)]
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    for run in runs:
        store.delete(run)
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before * 0.8
    for table in ("runs", "rows", "reports", "meters", "events", "samples", "flows", "files"):
        assert store.database.select(f"SELECT count(*) FROM {table}") == [(0,)]
    assert store.database.select("SELECT count(*) FROM sources") == [(0,)]
    assert store.create(PLAN, FILES) == "3"  # numbers are not given twice


def test_a_report_is_written_in_under_two_milliseconds(store: Store) -> None:
    run = store.create(PLAN, FILES)
    flows = tuple(f"flow-{number}" for number in range(5))
    given = list(reports(seconds=30, agents=1, flows=flows, calls=40))
    took = []
    for report in given:
        before = time.process_time()
        store.add(run, report)
        took.append(time.process_time() - before)
    assert sorted(took)[len(took) // 2] < 0.002
