"""The link within this process: in which order things are made, begun and given back."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from rascal.errors import ConfigErrors, LoadError
from rascal.load.local import NAME, LocalLink
from rascal.load.plan import Plan, Share
from rascal.load.running import run_load
from rascal.load.types import Report

PLAN = Plan(file="shop.py", shares=(), target="http://127.0.0.1:1")
FILES = {
    "shop.py": b"from rascal.load import scenario\n@scenario('look')\nasync def look(user): pass\n"
}


class Parts:
    """Client, world and engine that only say what they were told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.ended: Deferred[None] = Deferred()
        self.set_up_result: Any = succeed(None)
        self.emit: Any = None

    def make(self, reactor: Any, run: str, plan: Plan, book: Any, allowed: Any, emit: Any) -> Any:
        self.said.append("make")
        self.emit = emit
        return self, self, self

    def set_up(self, run: bool = False) -> Any:
        self.said.append(("set_up", run))
        return self.set_up_result

    def tear_down(self, run: bool = False) -> Any:
        self.said.append(("tear_down", run))
        return succeed(None)

    def start(self, at: float) -> Any:
        self.said.append(("start", at))
        return self.ended

    def stop(self, now: bool = False) -> None:
        self.said.append(("stop", now))

    def change(self, shares: Any, second: int) -> None:
        self.said.append(("change", shares, second))

    def reshare(self, members: Any, second: int) -> None:
        self.said.append(("reshare", members, second))

    def close(self) -> Any:
        self.said.append("close")
        return succeed(None)

    def last(self) -> None:
        self.emit(Report(run="1", agent=NAME, sequence=0, second=0, last=True))


def prepared(parts: Parts) -> LocalLink:
    link = LocalLink(Clock(), check=False, make=parts.make)
    done(link.prepare("1", PLAN, FILES))
    return link


def done(coroutine: Any) -> Any:
    """The result of something that does not wait."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    assert results, "it waits"
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def test_one_agent_whatever_is_wanted() -> None:
    (info,) = done(LocalLink(Clock()).gather(4))
    assert (info.name, info.index) == (NAME, 0)
    assert info.pid and info.version


def test_a_run() -> None:
    parts = Parts()
    link = prepared(parts)
    reports: list[Report] = []
    link.calls.on_report = reports.append
    at = done(link.start())
    link.change((), 3)
    link.reshare((0,), 4)
    link.stop()
    parts.last()
    closing = Deferred.fromCoroutine(link.close())
    assert not closing.called, "the engine has not ended"
    parts.ended.callback(None)
    assert closing.called
    assert at > 0
    assert parts.said == [
        "make",
        ("set_up", True),
        ("start", at),
        ("change", (), 3),
        ("reshare", (0,), 4),
        ("stop", False),
        ("tear_down", True),
        "close",
        "close",
    ]
    assert len(reports) == 1


def test_closed_while_it_goes_on() -> None:
    parts = Parts()
    link = prepared(parts)
    done(link.start())
    closing = Deferred.fromCoroutine(link.close())
    assert parts.said[-1] == ("stop", True)
    parts.ended.callback(None)
    assert closing.called
    done(link.close())
    assert parts.said.count("close") == 2


def test_a_set_up_that_fails_is_torn_down() -> None:
    parts = Parts()
    parts.set_up_result = fail(LoadError("no database"))
    link = LocalLink(Clock(), check=False, make=parts.make)
    with pytest.raises(LoadError, match="no database"):
        done(link.prepare("1", PLAN, FILES))
    done(link.close())
    assert ("tear_down", True) in parts.said


def test_a_file_that_cannot_be_loaded() -> None:
    link = LocalLink(Clock(), check=False, make=Parts().make)
    with pytest.raises(ConfigErrors, match=r"shop\.py:1"):
        done(link.prepare("1", PLAN, {"shop.py": b"import"}))
    done(link.close())


def test_an_engine_that_fails_is_a_lost_agent() -> None:
    parts = Parts()
    link = prepared(parts)
    lost: list[tuple[str, str]] = []
    link.calls.on_lost = lambda agent, why: lost.append((agent, why))
    done(link.start())
    parts.ended.errback(LoadError("the clock stands still"))
    assert lost == [(NAME, "LoadError: the clock stands still")]
    done(link.close())


def test_a_plan_whose_arrival_log_is_missing_fails_before_anything_is_made() -> None:
    plan = Plan(file="shop.py", shares=(Share(scenarios=("look",), replay="x.log"),), target="")
    failures: list[Any] = []
    run_load(Clock(), plan, FILES).addErrback(failures.append)
    assert failures[0].check(ConfigErrors)
