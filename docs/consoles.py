r"""Runs the console blocks of a page in one shell, in order, and compares or records what they say.

    python docs/consoles.py check docs/tutorial.md       status 1 and a difference if anything is
    python docs/consoles.py record docs/tutorial.md      put in what is said now

    ```console            commands begin with `$ `; lines below are what they say. A command that
    $ rascal proxies      ends with `&` goes on in the background until the page is over
    ```

A block of another language whose first line is a comment with a file name (`# proxies.ini`) is
written to that file. Everything happens in a folder of its own. Ports that pages name are mapped to
free ones and back, so a page may say 6379 while another server has it. Compared is what does not
change from run to run: times, rates and blanks are not. A page may name more of that kind, as
patterns: `<!-- moving: in flight \d+ -->`; a line of which nothing is left is not compared.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"(?:#|;|//) ([\w./-]+\.\w+)\n")
PORTS = ("6379", "6380", "8474", "3306", "3307", "8080")
MOVING = re.compile(r"^<!-- moving: (.*) -->$", re.MULTILINE)
SECONDS = 60.0
"""For one command."""

SAME = (
    (re.compile(r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b"), "CLOCK"),
    (re.compile(r"\b\d+(?:\.\d+)?(?:us|ms|s|m)(?:\d+s)?\b"), "TIME"),
    (re.compile(r"\b[\d,]+(?:\.\d+)?(?: [KMG]?B)?/s"), "RATE"),
    (re.compile(r"\b(?:by )?[\w.-]+@[\w.-]+"), "SOMEBODY"),
    (re.compile(r"rascal, version \S+|rascal \d\S*"), "VERSION"),
    (re.compile(r"[ \t]+"), " "),
)


def same(text: str, moving: Sequence[str] = ()) -> str:
    """What does not change from run to run."""
    for pattern in moving:
        text = re.sub(pattern, "", text, flags=re.MULTILINE)
    for known, word in SAME:
        text = known.sub(word, text)
    lines = (line.rstrip() for line in text.strip().splitlines())
    return "\n".join(line for line in lines if line or not moving)


def commands(block: str) -> list[tuple[str, str]]:
    """(command, what it says) of a console block."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        elif line.startswith("> ") and found and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line[2:].rstrip()}", "")
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def free_port() -> str:
    """A port that was free a moment ago, of four digits: tables keep their columns."""
    while True:
        port = random.randrange(2000, 10_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return str(port)


class Shell:
    """One bash in a folder, spoken to by a pipe."""

    def __init__(self, folder: Path, path: str = "", environ: Mapping[str, str] | None = None):
        self.folder = folder
        self.ports = {port: free_port() for port in PORTS}
        inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={
                **inherited,
                "PATH": f"{path}{os.pathsep}{os.environ['PATH']}" if path else os.environ["PATH"],
                "NO_COLOR": "1",
                "LC_ALL": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
                "RASCAL_URL": f"http://127.0.0.1:{self.ports['8474']}",
                "RASCAL_STORE": str(folder / "runs.db"),
                "XDG_STATE_HOME": str(folder / "state"),
                **(environ or {}),
            },
        )

    def mapped(self, text: str, back: bool = False) -> str:
        """The ports of the page in place of those that are used, or the other way."""
        for name, port in self.ports.items():
            old, new = (port, name) if back else (name, port)
            text = re.sub(rf"(?<![\d.]){old}(?![\d.]\d|\d)", new, text)
        return text

    def run(self, command: str) -> str:
        """What a command says. Raises TimeoutError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        mark = f"--- {time.monotonic_ns()} ---"
        text = self.mapped(command)
        if text.endswith("&"):
            text = f"{text[:-1]} > background.log 2>&1 < /dev/null &"
        self.process.stdin.write(f"{text}\necho; echo '{mark}'\n")
        self.process.stdin.flush()
        watchdog = threading.Timer(SECONDS, self.close)
        watchdog.start()
        said = ""
        try:
            for line in self.process.stdout:
                if line.rstrip() == mark:
                    if command.endswith("&"):
                        self._settle(text)
                    return self.mapped(said.removesuffix("\n"), back=True)
                said += line
        finally:
            watchdog.cancel()
        raise TimeoutError(f"{command!r} did not end; it said {said!r}")

    def _settle(self, text: str) -> None:
        """Until what was started in the background listens."""
        port = next((one for one in re.findall(r"--port (\d+)", text)), "")
        port = port or (self.ports["8474"] if "rascal-proxy" in text else "")
        deadline = time.monotonic() + SECONDS
        while port and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
                return
            time.sleep(0.05)

    def close(self) -> None:
        """End it and all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)
            time.sleep(0.3)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@contextlib.contextmanager
def shell(path: str = "", files: Mapping[str, str] | None = None) -> Iterator[Shell]:
    """A shell in a new folder."""
    folder = Path(tempfile.mkdtemp(prefix="rascal-page-"))
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    one = Shell(folder, path)
    try:
        yield one
    finally:
        one.close()
        for stream in (one.process.stdin, one.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        shutil.rmtree(folder, ignore_errors=True)


def said(text: str, one: Shell) -> str:
    """The page with what its commands say now."""

    def fill(found: re.Match[str]) -> str:
        language, content = found[1], found[2]
        file = FILE.match(content)
        if language != "console":
            if file:
                (one.folder / file[1]).write_text(one.mapped(content))
            return found[0]
        lines = []
        for command, _ in commands(content):
            shown = command.replace("\n", "\n> ")
            lines.append(f"$ {shown}\n{one.run(command)}".rstrip("\n") + "\n")
        return f"```console\n{''.join(lines)}```"

    return BLOCK.sub(fill, text)


def difference(old: str, new: str) -> str:
    """What differs, of what does not change from run to run."""
    moving = MOVING.findall(old)
    before, after = same(old, moving).splitlines(), same(new, moving).splitlines()
    return "\n".join(difflib.unified_diff(before, after, "written", "said", lineterm="", n=1))


def main(words: list[str]) -> int:
    """The command line."""
    what, pages = words[0], [Path(word) for word in words[1:]]
    wrong = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        with shell(str(Path(sys.executable).parent)) as one:
            now = said(text, one)
        found = difference(text, now)
        if what == "record" and found:
            page.write_text(now, encoding="utf-8")
            print(f"{page}: recorded")
        elif found:
            wrong += 1
            print(f"{page}:\n{found}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
