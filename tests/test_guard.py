"""The guard of conftest.py fails what it should fail, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

CASES = """
import pytest, pytest_twisted
from twisted.internet import defer, protocol, reactor
from twisted.internet.task import deferLater
from twisted.logger import Logger
from within import until, within

def test_good_clean():
    pass

@pytest_twisted.ensureDeferred
async def test_good_short_timer():
    reactor.callLater(0.05, lambda: None)

@pytest_twisted.ensureDeferred
async def test_good_flushed(logged_failures):
    try: 1 / 0
    except ZeroDivisionError: Logger().failure("on purpose")
    assert len(logged_failures.flush(ZeroDivisionError)) == 1

@pytest_twisted.ensureDeferred
async def test_good_times_out():
    with pytest.raises(defer.TimeoutError):
        await within(0.01, defer.Deferred())
    assert await within(1, deferLater(reactor, 0, lambda: 5)) == 5
    assert await until(lambda: 7) == 7
    with pytest.raises(AssertionError, match="not within"):
        await until(lambda: 0, "x", 0.02)

def test_bad_timer():
    reactor.callLater(1000, lambda: None)

def test_bad_port():
    reactor.listenTCP(0, protocol.ServerFactory(), interface="127.0.0.1")

def test_bad_logged():
    try: 1 / 0
    except ZeroDivisionError: Logger().failure("ours")

def test_bad_flushed_another(logged_failures):
    try: 1 / 0
    except ZeroDivisionError: Logger().failure("ours")
    logged_failures.flush(KeyError)

@pytest_twisted.ensureDeferred
async def test_bad_lost_failure():
    defer.fail(KeyError("lost"))
"""


def test_it_fails_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "test_cases.py").write_text(CASES)
    paths = os.pathsep.join((str(HERE), str(HERE.parent)))
    for reactor in ("default", "asyncio"):
        words = f"-m pytest -p conftest -p no:cacheprovider -q -rA --reactor={reactor}".split()
        done = subprocess.run(
            [sys.executable, *words, f"--rootdir={tmp_path}", "test_cases.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        words = [line.split()[:2] for line in done.stdout.splitlines() if "::test_" in line]
        errors = {name.partition("::")[2] for word, name in words if word == "ERROR"}
        passed = {name.partition("::")[2] for word, name in words if word == "PASSED"}
        assert len(passed) == 9, done.stdout + done.stderr
        assert errors == {name for name in passed if name.startswith("test_bad")}, done.stdout
