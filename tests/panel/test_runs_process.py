"""Runs that the panel starts are processes of their own: it may be killed, they go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from panel_process import SCENARIO, PanelProcess, target

pytestmark = pytest.mark.integration

COLUMN = {"t": 0, "offered": 1, "good": 2}


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[PanelProcess]:
    (tmp_path / "shop.py").write_text(SCENARIO)
    made = PanelProcess(tmp_path)
    try:
        made.start()
        yield made
    finally:
        end(made)


def end(made: PanelProcess) -> None:
    """With the runs that are left."""
    if made.process.poll() is not None:
        made.start()
    for run in made.call("GET", "/api/v1/runs")[1]["runs"].values():
        if run["state"] == "running":
            with suppress(ProcessLookupError):
                os.kill(run["pid"], signal.SIGKILL)
    made.stop()


@pytest.fixture
def server() -> Iterator[str]:
    with target() as url:
        yield url


def load(url: str, **more: Any) -> dict[str, Any]:
    return {"load": {"file": "shop.py", "target": url, "rate": "20/s", "for": "8s", **more}}


def test_a_killed_panel_shows_the_run_again_and_loses_no_second(
    panel: PanelProcess, server: str
) -> None:
    run = panel.started(load(server))
    seen = []
    for kind, data in panel.events(f"/api/v1/runs/{run}/events"):
        if kind == "second":
            seen.append(data)
        if len(seen) == 2:
            break
    panel.kill()
    panel.start()
    rows: dict[int, list[Any]] = {}
    gone = None
    for kind, data in panel.events(f"/api/v1/runs/{run}/events"):
        if kind == "snapshot":
            assert data["state"]["status"] in ("running", "draining")
            rows = {row[0]: row for row in data["rows"]}
            assert len(rows) >= 2
        elif kind == "second":
            rows[data[0]] = data
        elif kind == "amend":
            rows |= {row[0]: row for row in data["rows"]}
        elif kind == "gone":
            gone = data
            break
    assert gone is not None
    assert gone["why"] == "finished"
    assert gone["url"] == f"/runs/{run}"
    assert sorted(rows) == list(range(len(rows)))
    summary = panel.until_ended(run)
    assert summary["outcome"] == "completed"
    calls = sum(row[COLUMN["good"]] for row in rows.values())
    assert calls == sum(row[COLUMN["offered"]] for row in rows.values())
    assert calls == sum(row[-2] for row in rows.values())  # arrivals
    status, series = panel.call("GET", f"/api/v1/runs/{run}/series?from=1&to=3&flows=front")
    assert status == 200
    assert [row[0] for row in series["rows"]] == [1, 2, 3]
    assert [row[:3] for row in series["flows"]["front"]] == [row[:3] for row in series["rows"]]


def test_stop_change_and_replay(panel: PanelProcess, server: str) -> None:
    run = panel.started(load(server, **{"for": "40s"}))
    status, problem = panel.call("POST", f"/api/v1/runs/{run}/change", {"profile": "hold 10"})
    assert (status, problem["type"]) == (422, "/problems/unit-missing")
    status, found = panel.call("POST", f"/api/v1/runs/{run}/change", {"profile": "hold 5/s"})
    assert (status, found["taken"]) == (202, True)
    for kind, data in panel.events(f"/api/v1/runs/{run}/events"):
        if kind == "snapshot" and data["plan"]["text"] == "hold 5/s":
            break
        if kind == "phase" and data.get("plan", {}).get("text") == "hold 5/s":
            break
    status, found = panel.call("DELETE", f"/api/v1/runs/{run}")
    assert status == 409
    status, found = panel.call("POST", f"/api/v1/runs/{run}/stop", {"now": True})
    assert status == 202
    assert panel.until_ended(run)["outcome"] == "interrupted"
    status, found = panel.call(
        "POST", f"/api/v1/runs/{run}/replay", {"profiles": {"": "hold 20/s for 2s"}}
    )
    assert status == 201, found
    again = panel.until_ended(found["run"])
    assert again["forked_from"] == run
    assert again["spec"]["shares"][0]["profile"] == "hold 20/s for 2s"
    assert again["files"] == panel.call("GET", f"/api/v1/runs/{run}")[1]["files"]
    assert panel.call("PATCH", f"/api/v1/runs/{run}", {"labels": ["base"]})[1]["labels"] == ["base"]
    assert list(panel.call("GET", "/api/v1/runs?label=base")[1]["runs"]) == [run]
    assert panel.call("DELETE", f"/api/v1/runs/{run}")[0] == 204
    assert panel.call("GET", f"/api/v1/runs/{run}/events")[0] == 404


def test_who_waits_begins_in_order_also_after_a_restart(panel: PanelProcess, server: str) -> None:
    first = panel.started(load(server, **{"for": "30s"}))
    short = {"for": "1s"}
    status, found = panel.call("POST", "/api/v1/runs", load(server, name="second", **short))
    assert (status, found["queued"]["position"]) == (202, 1)
    status, found = panel.call("POST", "/api/v1/runs", load(server, name="third", **short))
    assert (status, found["queued"]["position"]) == (202, 2)
    status, out = panel.call("POST", "/api/v1/runs", load(server, name="fourth", **short))
    assert panel.call("DELETE", f"/api/v1/queue/{out['queued']['id']}")[0] == 204
    panel.kill()
    panel.start()
    waiting = panel.call("GET", "/api/v1/queue")[1]["waiting"]
    assert [one["title"] for one in waiting] == ["second", "third"]
    assert "order" not in waiting[0]
    panel.call("POST", f"/api/v1/runs/{first}/stop", {"now": True})
    panel.until_ended(str(int(first) + 1))
    last = panel.until_ended(str(int(first) + 2))
    assert last["name"] == "third"
    runs = panel.call("GET", "/api/v1/runs")[1]["runs"]
    assert sorted(one["name"] for one in runs.values()) == ["second", "shop", "third"]
    assert runs[str(int(first) + 1)]["ended"] <= last["created"]


def test_what_cannot_run_is_said_to_who_asked(panel: PanelProcess, server: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (load(server, rate="20"), "/rate"),
        (load("http://127.0.0.1:1"), ""),
        (load("http://192.0.2.1"), ""),
        (load(server, file="../shop.py"), "/file"),
        (load(server, speed="1"), "/speed"),
        (load(server, only=["buy"]), "/only"),
    ]
    for body, pointer in cases:
        status, problem = panel.call("POST", "/api/v1/runs", body)
        assert status == 422, (body, problem)
        assert problem.get("pointer", "") == pointer, (body, problem)
    assert panel.call("GET", "/api/v1/queue")[1] == {
        "waiting": [], "starting": [], "failed": [], "held": None,
    }  # fmt: skip


def test_the_lever_ends_all_and_lets_nothing_begin(panel: PanelProcess, server: str) -> None:
    run = panel.started(load(server, **{"for": "60s"}))
    waits = panel.call("POST", "/api/v1/runs", load(server, name="next", **{"for": "1s"}))
    assert waits[0] == 202
    # The lever itself is the nodes' business; here is what it does to runs.
    status, held = panel.call("PUT", "/api/v1/runs/lever", {"on": True})
    assert (status, held["stopped"]) == (200, [run])
    assert panel.until_ended(run)["outcome"] == "interrupted"
    panel.kill()
    panel.start()
    status, problem = panel.call("POST", "/api/v1/runs", load(server))
    assert (status, problem["type"]) == (409, "/problems/lever")
    assert "admin" in problem["title"]
    queue = panel.call("GET", "/api/v1/queue")[1]
    assert [one["title"] for one in queue["waiting"]] == ["next"]
    assert queue["held"]["by"] == "admin"
    assert panel.call("PUT", "/api/v1/runs/lever", {"on": False})[0] == 200
    assert panel.until_ended(str(int(run) + 1))["name"] == "next"
