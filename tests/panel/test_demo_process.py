"""The demo of the panel's first door, as somebody who never saw Rascal runs it."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from panel_process import PATIENCE, PanelProcess


def _asked(panel: PanelProcess, wanted: str) -> dict[str, Any]:
    ends = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < ends:
        found: dict[str, Any] = panel.call("GET", "/api/v1/demo")[1]
        if found["state"] in (wanted, "failed"):
            return found
        time.sleep(0.1)
    raise AssertionError(f"the demo is not {wanted}: {found}")


def test_the_demo_begins_and_leaves_nothing_behind(tmp_path: Path) -> None:
    panel = PanelProcess(tmp_path)
    panel.start()
    try:
        assert panel.call("GET", "/api/v1/demo")[1] == {"state": "", "run": "", "problem": ""}
        assert panel.call("POST", "/api/v1/demo", {})[1]["state"] == "starting"
        assert panel.call("POST", "/api/v1/demo", {})[1]["state"] == "starting", "not two of them"
        found = _asked(panel, "running")
        assert found["state"] == "running", found["problem"]
        run = panel.call("GET", f"/api/v1/runs/{found['run']}")[1]
        assert (run["kind"], run["name"], run["state"]) == ("experiment", "demo", "running")
        node = panel.call("GET", "/api/v1/nodes/demo")[1]
        assert node["state"] == "up" and set(node["proxies"]) == {"cache", "shop"}
        port = int(node["url"].rpartition(":")[2])
        panel.call("PUT", "/api/v1/panic", {"on": True})
        assert panel.until_ended(found["run"])["state"] == "ended"
    finally:
        panel.stop()
    assert _closed(port), "the demo's rascal-proxy has outlived the panel"


def _closed(port: int) -> bool:

    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.05)
    return False
