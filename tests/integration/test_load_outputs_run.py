"""What real runs leave behind, and what they tell while they go on, against a real nginx."""

from __future__ import annotations

import csv
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from nginx_server import NGINX, nginx
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.skipif(not NGINX, reason="there is no nginx")

PATIENCE = 60.0
SHOP = """
from rascal.load import scenario

@scenario("browse")
async def browse(user):
    await user.get("/hello", name="<hello>")
    await user.get("/nowhere?token=geheim", name="nowhere")
"""
FILES = ("--html", "a.html", "--junit", "a.xml", "--csv", "tables", "--hdr", "a.hlog")


@attrs.define
class Place:
    """A folder with shop.py and a store."""

    folder: Path
    port: int

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """`rascal …`."""
        known = {name: text for name, text in os.environ.items() if not name.startswith("RASCAL_")}
        known |= {"RASCAL_STORE": str(self.folder / "runs.db"), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                "from rascal.cli import main; main()",
                *words,
            ],
            cwd=self.folder,
            env=known | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def load(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """`rascal load run` with this target."""
        target = f"http://127.0.0.1:{self.port}"
        return self.start("load", "run", "shop.py", "--target", target, *words, **environment)

    def text(self, name: str) -> str:
        """A file."""
        return (self.folder / name).read_text()


def ended(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    """What it said. On a busy machine a run may prove nothing, which is status 3."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    there = (status, 3) if status in (0, 1, 2) else (status,)
    assert process.returncode in there, (process.returncode, out, err)
    assert "Traceback" not in err, err
    return out, err


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx(tmp_path_factory.mktemp("nginx")) as port:
        yield port


@pytest.fixture
def place(server: int, tmp_path: Path) -> Place:
    (tmp_path / "shop.py").write_text(SHOP)
    return Place(tmp_path, server)


def test_files_of_a_run_are_those_that_the_store_gives(place: Place) -> None:
    out, err = ended(
        place.load("--rate", "40/s", "--for", "2s", "--json", "a.json", *FILES, "--objective",
                   "failed < 10%"),
        status=1,
    )  # fmt: skip
    assert "FLOW" in out and "wrote a.json, " in err
    names = ["a.hlog", "a.html", "a.json", "a.xml"]
    assert [name for name in sorted(os.listdir(place.folder)) if name.startswith("a.")] == names
    again = [word.replace("a.", "b.").replace("tables", "tables/b/") for word in FILES]
    (place.folder / "tables/b").mkdir()
    ended(place.start("runs", "export", "last", "--json", "b.json", *again))
    mine, theirs = json.loads(place.text("a.json")), json.loads(place.text("b.json"))
    assert mine == theirs
    assert mine["run"]["summary"]["total"]["planned"] > 100
    assert place.text("a.xml") == place.text("b.xml")
    assert place.text("a.html") == place.text("b.html")
    for name in ("seconds", "totals", "agents", "events", "samples"):
        text = place.text(f"tables/{name}.csv")
        assert sorted(text.splitlines()) == sorted(place.text(f"tables/b/{name}.csv").splitlines())
    assert sorted(place.text("a.hlog").splitlines()) == sorted(place.text("b.hlog").splitlines())

    total = sum(one["total"]["planned"] for one in mine["flows"].values())
    rows = list(csv.DictReader(place.text("tables/seconds.csv").splitlines()))
    assert sum(int(row["planned"]) for row in rows if row["kind"] == "flow") == total
    failed = [
        case.get("name")
        for case in ElementTree.fromstring(place.text("a.xml")).iter("testcase")
        if case.find("failure") is not None
    ]
    assert failed[-1] == "failed < 10%"
    page = place.text("a.html")
    assert "&lt;hello&gt;" in page and "<hello>" not in page
    assert "geheim" not in page and "token=***" in page


def test_an_interrupted_run_leaves_its_files(place: Place) -> None:
    process = place.load("--rate", "40/s", "--for", "60s", "--no-store", *FILES)
    assert process.stdout is not None
    for line in process.stdout:
        if "0:02/" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = ended(process, status=130)
    assert "wrote tables/seconds.csv" in err
    assert "Interrupted after 0:0" in place.text("a.html")
    assert "rascal runs" not in place.text("a.html")  # it is not in the store
    assert "interrupted" in place.text("a.xml") and "Tag=nowhere" in place.text("a.hlog")


def test_a_file_that_cannot_be_written_at_the_end_fails_the_run(place: Place) -> None:
    folder = place.folder / "gone"
    folder.mkdir()
    process = place.load(
        "--rate", "40/s", "--for", "3s", "--html", "gone/a.html", "--junit", "a.xml"
    )
    assert process.stdout is not None
    process.stdout.readline()  # load is on
    folder.rmdir()
    _, err = ended(process, status=2)
    assert "error: --html: gone/a.html: cannot be written (No such file or directory)" in err
    assert (place.folder / "a.xml").is_file()


# ---- while it goes on


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_prometheus_sees_the_run(place: Place) -> None:
    port = free_port()
    process = place.load("--rate", "40/s", "--for", "4s", "--prometheus", f"127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}/metrics"
    seen: list[float] = []
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as reply:
            found = text_string_to_metric_families(reply.read().decode())
            calls = [one for one in found if one.name == "rascal_load_calls"]
            seen += [sum(one.value for one in family.samples) for family in calls]
        time.sleep(0.2)
    ended(process)
    assert seen and seen == sorted(seen) and seen[-1] > 80


@contextmanager
def a_collector(answers: list[int]) -> Iterator[tuple[str, list[tuple[str, Any, str | None]]]]:
    """An OpenTelemetry collector of our own: its URL, and what it was sent."""
    got: list[tuple[str, Any, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, data, self.headers.get("X-Key")))
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def calls_in(data: Any) -> int:
    metrics = data["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    (calls,) = [one for one in metrics if one["name"] == "rascal.load.calls"] or [None]
    return sum(int(one["asInt"]) for one in calls["sum"]["dataPoints"]) if calls else 0


def test_a_collector_gets_all_counts(place: Place) -> None:
    with a_collector([200, 503]) as (url, got):
        _, err = ended(
            place.load("--rate", "40/s", "--for", "3s", "--json", "a.json", "--otlp", url,
                       OTEL_EXPORTER_OTLP_HEADERS="x-key=abc")
        )  # fmt: skip
    assert err.count("OpenTelemetry") == 1 and "it answered 503; the run goes on" in err
    assert {(path, key) for path, _, key in got} == {("/v1/metrics", "abc")}
    counts = [calls_in(data) for _, data, _ in got]
    assert len(counts) >= 4 and counts == sorted(counts)
    total = json.loads(place.text("a.json"))["run"]["summary"]["total"]
    assert counts[-1] == total["started"] + total["dropped"] > 100


def test_a_collector_that_is_not_there_costs_a_warning(place: Place) -> None:
    _, err = ended(
        place.load("--rate", "40/s", "--for", "2s", "--otlp", f"http://127.0.0.1:{free_port()}")
    )
    assert err.count("the run goes on") == 1 and "messages were not taken" in err


def test_a_port_that_is_taken_is_said_before_load(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        out, err = ended(
            place.load("--rate", "40/s", "--for", "2s", "--prometheus", f"127.0.0.1:{port}"),
            status=2,
        )
    assert out == "" and "error: --prometheus: cannot listen there (Address already in use)" in err
