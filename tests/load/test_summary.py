"""The exit code of a run, and that its summary is plain JSON that only grows."""

from __future__ import annotations

import json

import pytest
from coordinating import Stage

from rascal.load.summary import status


@pytest.mark.parametrize(
    ("outcome", "invalid", "missed", "code"),
    [
        ("completed", False, False, 0),
        ("completed", False, True, 1),
        ("completed", True, False, 3),
        ("completed", True, True, 3),
        ("failed", True, False, 3),
        ("aborted", False, False, 3),
        ("stopped", False, True, 4),
        ("stopped", True, True, 4),
        ("interrupted", True, True, 130),
    ],
)
def test_status(outcome: str, invalid: bool, missed: bool, code: int) -> None:
    assert status(outcome, invalid=invalid, missed=missed) == code


def summary(**values: object) -> dict[str, object]:
    stage = Stage(**values)  # type: ignore[arg-type]
    stage.begin()
    stage.until(0)
    stage.go(5, latency=0.02, cpu=0.5, busy=0.25, lag=0.01, connections=2)
    stage.until(5.5)
    stage.last()
    found: dict[str, object] = stage.result().summary
    return found


def test_a_summary_is_plain_json() -> None:
    found = summary(objectives=["p95(home) < 30ms"], name="evening")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        "run", "name", "file", "target", "seed", "outcome", "why", "status", "invalid",
        "started_at", "seconds", "drained", "load", "total", "flows", "scenarios", "offered",
        "deadlines", "lateness", "objectives", "agents", "unsound", "reports", "warnings",
    ]  # fmt: skip


def test_what_is_in_it() -> None:
    found = json.loads(json.dumps(summary()))
    home = found["flows"]["home"]
    assert home["planned"] == home["started"] == 50
    assert home["served"]["p99"] == pytest.approx(0.02, rel=0.004)
    assert home["served_actual"]["p99"] == pytest.approx(0.001, rel=0.004)
    assert (home["offered"], home["goodput"]) == (10.0, 10.0)
    assert (home["share_failed"], home["attempts_per_call"]) == (0.0, 1.0)
    assert found["scenarios"]["look"]["planned"] == 50
    assert found["offered"] == {
        "expected": 50.0, "chance": 0.0, "planned": 50, "started": 50, "dropped": 0,
        "share": 1.0, "short": 0,
    }  # fmt: skip
    assert (found["seconds"], found["drained"]) == (5.0, 0.5)
    assert found["started_at"] == "2023-11-14T22:15:00.250+00:00"
    assert found["load"] == [{"scenarios": ["look"], "profile": "hold 10/s for 5s"}]
    agent = found["agents"]["a"]
    assert agent["cpu"] == {"mean": pytest.approx(0.5 * 5 / 6), "most": 0.5}
    assert (agent["lag"], agent["connections"], agent["seconds"]) == (0.01, 10, 6)
    assert found["reports"] == {"merged": 6, "missing": 0}
    assert found["warnings"] == found["invalid"] == []


def test_a_run_in_which_nothing_ended() -> None:
    stage = Stage(objectives=["p95 < 30ms"])
    stage.begin()
    stage.until(0)
    stage.watcher.control.stop(now=True)
    stage.last()
    found = stage.result().summary
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["seconds"], found["status"]) == (0.0, 130)
    assert found["flows"] == {}


def test_iterations_that_their_own_code_ended_are_told() -> None:
    stage = Stage()
    stage.begin()
    stage.until(0)
    stage.go(5, outcomes={"served": 7, "check_failed": 3})
    stage.until(5.5)
    stage.last()
    assert stage.result().summary["warnings"] == [
        "15 of 50 iterations of 'look' were ended by an assert or an exception in the scenario; "
        "flows do not count that"
    ]


@pytest.mark.parametrize(
    ("load", "says"),
    [
        ({"rate": "10/s"}, "were dropped at the bound of iterations in flight"),
        ({"rate": None, "users": "10"}, "were due by their users' pace and never began"),
    ],
)
def test_why_arrivals_were_dropped(load: dict[str, str | None], says: str) -> None:
    stage = Stage(**load)
    stage.begin()
    stage.until(0)
    stage.go(5, dropped=2)
    stage.until(5.5)
    stage.last()
    (text,) = [one for one in stage.result().summary["warnings"] if one.startswith("10 ")]
    assert says in text
    assert "(20.0%)" in text
