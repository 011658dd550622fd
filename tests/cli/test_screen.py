"""`rascal watch` and `rascal tail` on a terminal: redrawn in place, ended by ctrl-C, left clean."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from served import Place
from test_completion import Terminal  # type: ignore[attr-defined]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server"),
]

ROWS, COLUMNS = 12, 70


class Screen:
    """What a terminal shows: enough of it for what the command writes."""

    def __init__(self, rows: int, columns: int) -> None:
        self.lines = [""] * rows
        self.rows, self.columns = rows, columns
        self.at = 0
        self.column = 0
        self.scrolled = 0
        self.hidden = False

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.at += 1
                if self.at == self.rows:
                    self.lines = [*self.lines[1:], ""]
                    self.at -= 1
                    self.scrolled += 1
            elif part == "\r":
                self.column = 0
            elif part.startswith("\x1b["):
                self._control(part[2:-1], part[-1])
            else:
                line = self.lines[self.at].ljust(self.column)
                self.lines[self.at] = line[: self.column] + part + line[self.column + len(part) :]
                self.column += len(part)
                assert self.column <= self.columns, f"{part!r} is too long"

    def _control(self, number: str, letter: str) -> None:
        if letter == "F":
            self.at, self.column = max(0, self.at - int(number or 1)), 0
        elif letter == "K":
            self.lines[self.at] = self.lines[self.at][: self.column]
        elif letter == "J":
            self.lines[self.at] = self.lines[self.at][: self.column]
            self.lines[self.at + 1 :] = [""] * (self.rows - self.at - 1)
        elif letter in "hl" and number == "?25":
            self.hidden = letter == "l"
        else:
            assert letter == "m", (number, letter)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


@contextmanager
def terminal(place: Place, *words: str, **environ: str) -> Iterator[Terminal]:
    """The command on a terminal of that size."""
    root = str(Path(__file__).parents[2])
    known = place.environ(TERM="xterm", PYTHONPATH=root, PYTHONUNBUFFERED="1", **environ)
    size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
    # The size has to be there before the command asks for it.
    script = (
        "import os, sys; sys.stdin.readline(); os.execvpe(sys.argv[1], sys.argv[1:], os.environ)"
    )
    python = place.command()[0]
    found = Terminal([python, "-c", script, *place.command(*words)], known)
    fcntl.ioctl(found.fd, termios.TIOCSWINSZ, size)
    mode = termios.tcgetattr(found.fd)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(found.fd, termios.TCSANOW, mode)
    os.write(found.fd, b"\n")
    try:
        yield found
    finally:
        found.close()


def finish(found: Terminal) -> int:
    """Ctrl-C, all that is still said, and the status."""
    os.write(found.fd, b"\x03")
    while True:
        try:
            data = os.read(found.fd, 65536)
        except OSError:
            break
        if not data:
            break
        found.seen += data.decode()
    return found.wait()


def drawn(found: Terminal) -> Screen:
    screen = Screen(ROWS, COLUMNS)
    screen.feed(found.seen)
    return screen


def test_watch_redraws_in_place(clean: Place) -> None:
    clean.client.add("cache", "error(oom) match command=SET")
    with terminal(clean, "watch", "--every", "50ms") as found:
        found.until(r"cache/error .* 0  +0")
        clean.talk("SET a 1", "SET a 2")
        found.until(r"cache/error .* 2 +(?:\+2 )?2")
        clean.client.remove("cache", "error")
        found.until("no fault is installed")
        screen = drawn(found)  # ctrl-C lets the terminal drop what is on its way
        assert screen.hidden
        status = finish(found)
    assert status == 130
    assert screen.scrolled == 0
    assert not drawn(found).hidden
    lines = screen.text.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  \(ctrl-C ends it\)", lines[0])
    assert lines[2].split()[:3] == ["PROXY", "LISTENS", "OPEN"]
    assert [line.split()[0] for line in lines[3:5]] == ["cache", "db"]
    assert lines[6] == "no fault is installed"
    assert "Traceback" not in found.seen


def test_watch_fits_a_small_terminal(clean: Place) -> None:
    for number in range(30):
        clean.client.add(
            "cache", f"delay(2s) match key^=a-long-key-to-wrap-{number}:", name=f"f{number}"
        )
    with terminal(clean, "watch", "--every", "50ms") as found:
        found.until(r"… and \d+ lines.*… and \d+ lines")
        screen = drawn(found)  # ctrl-C lets the terminal drop what is on its way
        status = finish(found)
    assert (status, screen.scrolled) == (130, 0)
    assert re.search(r"… and \d+ lines$", screen.text)


@pytest.mark.parametrize("colours", [True, False])
def test_watch_and_colours(clean: Place, colours: bool) -> None:
    with terminal(clean, "watch", "--times", "1", NO_COLOR="" if colours else "1") as found:
        found.until("no fault is installed")
    assert ("\x1b[1m" in found.seen) is colours


def test_watch_outlives_its_service(clean: Place, tmp_path: Path) -> None:
    from control.live import free_port, service

    port = free_port()
    file = tmp_path / "proxies.ini"
    file.write_text(f"[rascal]\ncontrol = 127.0.0.1:{port}\n")
    url = f"http://127.0.0.1:{port}"
    with service(file, url):
        context = terminal(clean, "watch", "--every", "50ms", "--url", url)
        found = context.__enter__()
        found.until("no fault is installed")
    try:
        found.until("connection refused")
        found.seen = ""
        with service(file, url):
            found.until("no fault is installed")
    finally:
        context.__exit__(None, None, None)


def test_tail_on_a_terminal_cuts_long_lines(clean: Place) -> None:
    clean.client.add("cache", "error(oom) match command=SET")
    clean.talk("SET a " + "x" * 100)
    with terminal(clean, "tail", "--last", "1", "--struck") as found:
        found.until("SET .*answered")
        status = finish(found)
    assert status == 130
    lines = [line for line in drawn(found).text.splitlines() if "SET" in line]
    assert len(lines) == 1 and len(lines[0]) == COLUMNS - 1
