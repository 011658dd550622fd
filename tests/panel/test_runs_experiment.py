"""An experiment that the panel runs, against a real proxy, to its verdict; once more; as a text."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from panel_process import SCENARIO, PanelProcess, free_port, target

pytestmark = pytest.mark.integration

EXPERIMENT = """\
target: {url}
load: {{scenarios: shop.py, profile: hold 20/s, timeout: 1s}}
phases: {{warm-up: 1s, baseline: 4s, fault: 4s, recovery: 6s}}
faults: [delay 300ms on front name slow]
objectives: ['goodput_kept >= 90%']
learn: no
"""
PROXIES = """\
[rascal]
control = 127.0.0.1:{control}
[proxy:front]
protocol = http
listen = 127.0.0.1:{listen}
upstream = {upstream}
"""


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[PanelProcess]:
    """With a proxy before what is loaded."""
    with target() as url:
        control, listen = free_port(), free_port()
        (tmp_path / "shop.py").write_text(SCENARIO)
        text = PROXIES.format(control=control, listen=listen, upstream=url.removeprefix("http://"))
        (tmp_path / "proxies.ini").write_text(text)
        text = EXPERIMENT.format(url=f"http://127.0.0.1:{listen}")
        (tmp_path / "slow-front.yml").write_text(text)
        with (tmp_path / "proxy.log").open("wb") as log:
            proxy = subprocess.Popen(
                [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n",
                 "--pidfile=", "rascal-proxy", "--config", str(tmp_path / "proxies.ini")],
                stdout=log, stderr=log,
            )  # fmt: skip
        made = PanelProcess(tmp_path, nodes=f"main=http://127.0.0.1:{control}")
        try:
            _until_up(control, proxy, tmp_path)
            made.start()
            yield made
        finally:
            for run in _running(made):
                with suppress(ProcessLookupError):
                    os.kill(run["pid"], signal.SIGKILL)
            made.stop()
            proxy.terminate()
            proxy.wait(30)


def _until_up(port: int, proxy: Any, folder: Path) -> None:
    ends = time.monotonic() + 40
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        assert proxy.poll() is None, (folder / "proxy.log").read_text()
        assert time.monotonic() < ends
        time.sleep(0.05)


def _running(made: PanelProcess) -> list[dict[str, Any]]:
    with suppress(OSError, KeyError):
        runs = made.call("GET", "/api/v1/runs")[1]["runs"].values()
        return [one for one in runs if one["state"] == "running"]
    return []


def test_phases_faults_and_the_verdict_come_as_they_happen(panel: PanelProcess) -> None:
    run = panel.started({"experiment": {"file": "slow-front.yml", "labels": ["ci"]}})
    told: dict[str, list[Any]] = {}
    for kind, data in panel.events(f"/api/v1/runs/{run}/events"):
        told.setdefault(kind, []).append(data)
        if kind == "gone":
            break
    first = told["snapshot"][0]
    assert [one["kind"] for one in first["phases"]] == ["warm-up", "baseline", "fault", "recovery"]
    assert first["plan"]["ends"] == 15.0
    (planned,) = first["faults"]
    assert (planned["id"], planned["proxy"], planned["name"]) == ("A", "front", "slow")
    assert planned["plan"] == [[5.0, 9.0]]
    assert not planned["spans"]
    (lane,) = told["faults"][-1]
    ((on, off),) = lane["spans"]
    assert on == pytest.approx(5.0, abs=1.0)
    assert off == pytest.approx(9.0, abs=1.0)
    assert lane["fired"] > 0
    assert told["verdict"][0]["provisional"]
    final = told["verdict"][-1]
    assert not final["provisional"]
    assert final["word"] == panel.call("GET", f"/api/v1/runs/{run}")[1]["word"] != ""
    assert final["sentence"]
    assert final["outcome"]["thresholds"]
    (measure,) = final["measures"]
    assert measure["name"].startswith("goodput_kept")
    # Who opens it afterwards sees the same.
    kind, snapshot = next(panel.events(f"/api/v1/runs/{run}/events"))
    assert snapshot["verdict"] == final
    assert snapshot["faults"] == [lane]
    assert snapshot["state"]["status"] == "ended"
    assert snapshot["run"]["labels"] == ["ci"]
    status, problem = panel.call("POST", f"/api/v1/runs/{run}/change", {"profile": "hold 1/s"})
    assert status == 409, problem


def test_a_text_runs_as_a_file_does_and_runs_again_with_its_own_copy(panel: PanelProcess) -> None:
    path = panel.folder / "slow-front.yml"
    text = path.read_text().replace("recovery: 6s", "recovery: 2s")
    status, problem = panel.call(
        "POST", "/api/v1/runs", {"experiment": {"text": text.replace("hold", "hlod")}}
    )
    assert status == 422
    assert problem["errors"][0]["line"] == 2
    run = panel.started({"experiment": {"text": text, "name": "mine"}})
    panel.call("POST", f"/api/v1/runs/{run}/stop", {"now": True})
    first = panel.until_ended(run)
    assert (first["name"], first["kind"]) == ("mine", "experiment")
    path.unlink()
    (panel.folder / "shop.py").unlink()
    status, found = panel.call("POST", f"/api/v1/runs/{run}/replay", {"seed": 9})
    assert status == 201, found
    panel.call("POST", f"/api/v1/runs/{found['run']}/stop", {"now": True})
    again = panel.until_ended(found["run"])
    assert (again["name"], again["seed"], again["forked_from"]) == ("mine", 9, run)
    assert again["files"] == first["files"]
