"""The log as JSON: what a line holds, and that the service writes nothing else."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0

INI = """\
[rascal]
control = off
{more}

[proxy:cache]
protocol = tcp
listen = 127.0.0.1:0
upstream = 127.0.0.1:1
"""


def written(emit: Any) -> dict[str, Any]:
    """The line of the one event that `emit` logs with a logger."""
    from twisted.logger import Logger, LogPublisher

    from rascal.tap.logs import observer

    file = io.StringIO()
    emit(Logger("rascal.test", observer=LogPublisher(observer(file))))
    text = file.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_event_has_its_text_and_its_fields() -> None:
    found = written(
        lambda log: log.warn("{proxy}: {count} of {what!r}", proxy="db", count=3, what="x")
    )
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warn",
        "namespace": "rascal.test",
        "event": "db: 3 of 'x'",
        "fields": {"proxy": "db", "count": 3, "what": "x"},
    }


def test_whatever_is_logged_is_one_bounded_line_of_json() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    fields: dict[str, Any] = {f"f{n}": n for n in range(100)}
    fields |= {
        "f0": float("nan"),
        "f1": Mute(),
        "f2": "a\nb\ud800",
        "f3": b"\xff",
        "f4": "x" * 5000,
    }
    found = written(lambda log: log.info("{f2} and {f4} {f4} {f4} {f4}", **fields))
    assert len(found["fields"]) == 30
    assert found["fields"]["f0"] == "nan"
    assert "cannot be shown" in found["fields"]["f1"]
    assert found["fields"]["f2"].startswith("a\nb")
    assert len(found["fields"]["f4"]) == 1024
    assert len(found["event"]) == 16 * 1024


def test_an_exception_has_its_traceback() -> None:
    def emit(log: Any) -> None:
        try:
            raise ValueError("no such thing")
        except ValueError:
            log.failure("{what} failed", what="it")

    found = written(emit)
    assert (found["level"], found["event"]) == ("critical", "it failed")
    assert found["failure"].rstrip().endswith("builtins.ValueError: no such thing")


def run(folder: Path, ini: str, *more: str, twistd: tuple[str, ...] = (), env: Any = None) -> str:
    """What the service writes from its start to its end."""
    file = folder / "proxies.ini"
    file.write_text(ini)
    arguments = [
        "twistd",
        "-n",
        "--pidfile=",
        *twistd,
        "rascal-proxy",
        "--config",
        str(file),
        *more,
    ]
    code = f"import sys; sys.argv = {arguments!r}; from twisted.scripts.twistd import run; run()"
    out = folder / "out"
    with out.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
            cwd=folder,
        )
    try:
        places = [out, folder / "some.log"]
        deadline = time.monotonic() + PATIENCE
        while not any("cache (tcp)" in p.read_text() for p in places if p.exists()):
            if process.poll() is not None:
                break
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
    return out.read_text()


def events(text: str) -> list[str]:
    """All lines must be JSON; their events."""
    return [json.loads(line)["event"] for line in text.splitlines()]


@pytest.mark.parametrize("how", ["file", "option", "environment"])
def test_the_service_logs_json_on_request(tmp_path: Path, how: str) -> None:
    text = run(
        tmp_path,
        INI.format(more="log = json" if how == "file" else ""),
        *(("--log-format", "json") if how == "option" else ()),
        env={"RASCAL_LOG": "json"} if how == "environment" else None,
    )
    found = events(text)
    assert any(event.startswith("cache (tcp): 127.0.0.1:") for event in found)
    assert found[-1] == "Server Shut Down."


def test_the_command_line_comes_before_the_file(tmp_path: Path) -> None:
    text = run(tmp_path, INI.format(more="log = json"), "--log-format", "text")
    assert "cache (tcp)" in text
    assert not text.startswith("{")


def test_json_goes_where_twistd_would_log(tmp_path: Path) -> None:
    text = run(tmp_path, INI.format(more="log = json"), twistd=("--logfile", "some.log"))
    assert text == ""
    assert any("cache (tcp)" in event for event in events((tmp_path / "some.log").read_text()))


def test_another_format_is_a_usage_error(tmp_path: Path) -> None:
    text = run(tmp_path, INI.format(more=""), "--log-format", "xml")
    assert "allowed: text, json" in text.splitlines()[-1]
    text = run(tmp_path, INI.format(more="log = json"), twistd=("--syslog",))
    assert "not to syslog" in text.splitlines()[-1]
