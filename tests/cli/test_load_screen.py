"""`rascal load run` on a terminal: redrawn in place, ended by ctrl-C, left clean."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.nginx_server import NGINX, nginx
from test_completion import Terminal  # type: ignore[attr-defined]
from test_screen import Screen, finish  # type: ignore[attr-defined]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not NGINX, reason="there is no nginx"),
]

ROWS, COLUMNS = 40, 90
SCENARIO = """
from rascal.load import scenario
@scenario("page")
async def page(user):
    await user.get("/hello", name="hello")
    await user.get("/nowhere", name="nowhere")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx(tmp_path_factory.mktemp("nginx")) as port:
        yield port


@contextmanager
def terminal(folder: Path, *words: str, rows: int = ROWS, **environ: str) -> Iterator[Terminal]:
    """The command on a terminal of that size."""
    known = {name: text for name, text in os.environ.items() if not name.startswith("RASCAL_")}
    for name in ("COLUMNS", "LINES"):
        known.pop(name, None)
    known |= {"TERM": "xterm", "RASCAL_STORE": str(folder / "runs.db"), **environ}
    known |= {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "utf-8"}
    (folder / "page.py").write_text(SCENARIO)
    # The size has to be there before the command asks for it.
    script = (
        "import os, sys; sys.stdin.readline(); os.chdir(sys.argv[1]);"
        "os.execvpe(sys.argv[2], sys.argv[2:], os.environ)"
    )
    command = [sys.executable, "-c", "from rascal.cli import main; main()", "load", *words]
    found = Terminal([sys.executable, "-c", script, str(folder), *command], known)
    fcntl.ioctl(found.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
    mode = termios.tcgetattr(found.fd)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(found.fd, termios.TCSANOW, mode)
    os.write(found.fd, b"\n")
    try:
        yield found
    finally:
        found.close()


def drawn(found: Terminal, rows: int = ROWS) -> Screen:
    screen = Screen(rows, COLUMNS)
    screen.feed(found.seen)
    return screen


def words(port: int, *more: str) -> tuple[str, ...]:
    return "run", "page.py", "--target", f"http://127.0.0.1:{port}", "--rate", "30/s", *more


def test_the_live_view_and_the_report_in_its_place(server: int, tmp_path: Path) -> None:
    with terminal(tmp_path, *words(server, "--for", "9m")) as found:
        found.until(r"0:0[3-9] of 9:00 .*hello +\d+ +\d.*p99 +[▁-█].*AGENT.*local")
        screen = drawn(found)
        assert screen.hidden
        lines = screen.text.splitlines()
        assert lines[0] == f"run 1  page.py → http://127.0.0.1:{server}"
        assert re.fullmatch(r"0:\d\d of 9:00  ·{24}  8:5\d left", lines[1])
        assert re.match(
            r"arrivals offered [\d.]+/s, started [\d.]+/s  calls [\d.]+/s, ok [\d.]+/s", lines[3]
        )
        titles = [line.split()[0] for line in lines if line]
        assert titles.count("FLOW") == 1 and titles.count("AGENT") == 1
        assert re.search(r"^nowhere .* 100 % ", screen.text, re.MULTILINE)
        assert re.search(r"^served \d+  http_4xx \d+$", screen.text, re.MULTILINE)
        assert lines[-1] == "ctrl-C ends it and reports, twice at once"
        status = finish(found)
    assert status == 130
    screen = drawn(found)
    assert not screen.hidden
    assert screen.scrolled == 0
    lines = screen.text.splitlines()
    assert lines[0].split()[:3] == ["FLOW", "OFFERED", "GOODPUT"]
    assert "left" not in screen.text and "AGENT" not in screen.text
    assert "run 1: interrupted after 0:0" in screen.text
    assert "Traceback" not in found.seen


def test_a_small_terminal(server: int, tmp_path: Path) -> None:
    with terminal(tmp_path, *words(server, "--for", "9m"), rows=8) as found:
        found.until(r"0:0[2-9] of 9:00 .*… and \d+ lines")
        screen = drawn(found, 8)
        assert screen.scrolled == 0
        assert re.search(r"… and \d+ lines$", screen.text)
        assert finish(found) == 130


@pytest.mark.parametrize("colours", [True, False])
def test_colours(server: int, tmp_path: Path, colours: bool) -> None:
    environ = {"NO_COLOR": "" if colours else "1"}
    with terminal(tmp_path, *words(server, "--for", "2s"), **environ) as found:
        found.until("run 1: completed after 0:02")
    assert ("\x1b[31m" in found.seen) is colours
    assert ("\x1b[1m" in found.seen) is colours


def test_attached_to_another_process(server: int, tmp_path: Path) -> None:
    with terminal(tmp_path, *words(server, "--for", "9m", "--quiet")) as running:
        with terminal(tmp_path, "attach") as found:
            # It may look before the run is in the store.
            found.until("no run goes on|no run store|0:0[2-9] of 9:00 .*hello")
        while not re.search("0:0[2-9] of", found.seen):
            with terminal(tmp_path, "attach") as found:
                found.until("no run goes on|no run store|0:0[2-9] of 9:00 .*hello")
        lines = drawn(found).text.splitlines()
        assert lines[0] == f"run 1  page.py → http://127.0.0.1:{server}"
        assert lines[-1].startswith("ctrl-C leaves; the run goes on")
        assert finish(running) == 130
