"""Completion, in the real shells where they are installed, and what is offered for each word."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from served import Place

from rascal.cli import completing
from rascal.cli.app import rascal
from rascal.cli.completion import SHELLS, Bash, words_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server"),
]

PATIENCE = 20.0


@pytest.fixture
def offered(clean: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is offered at the end of a line."""
    monkeypatch.setenv("RASCAL_URL", clean.url)

    def offers(line: str) -> list[str]:
        words, incomplete = words_of(f"rascal {line}")
        bash = Bash(rascal, {}, "rascal", "_RASCAL_COMPLETE")
        return [item.value for item in bash.get_completions(words, incomplete)]

    clean.client.add("cache", "hang match key=1")
    clean.client.add_script("cache", "pass", name="s")
    return offers


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("pro", ["proxies", "proxy", "protocols"]),
        ("add ", ["cache", "db"]),
        ("add c", ["cache"]),
        ("faults cache ", ["cache", "db"]),
        ("remove c", ["cache/"]),
        ("remove cache/", ["cache/hang", "cache/s"]),
        ("remove cache h", ["hang"]),
        ("add db dea", []),
        ("add db dela", ["delay"]),
        ("add db error dead", ["deadlock"]),
        ("add db delay delay=2s ma", ["match"]),
        ("add db hang match st", ["statement="]),
        ("add db hang match statement=SELECT an", ["and"]),
        ("add db hang at r", ["request", "reply"]),
        ("add db hang on_remove ", ["release", "close"]),
        ("add db --ma", ["--match"]),
        ("add db hang --match statem", ["statement="]),
        ("script cache pass 2, erro", ["error"]),
        ("script cache pass 2, error oo", ["oom"]),
        ("change cache/hang dela", ["delay"]),
        ("change cache hang dela", ["delay"]),
        ("recipe cold-", ["cold-cache"]),
        ("recipe cold-cache on ", ["cache", "db"]),
        ("kinds dela", ["delay"]),
        ("kinds --protocol my", ["mysql"]),
        ("protocols re", ["redis"]),
        ("recipes cold", ["cold-cache"]),
        ("proxy ad", ["add"]),
        ("proxy change d", ["db"]),
        ("proxy add x myS", []),
        ("proxy add x my", ["mysql"]),
        ("completion z", ["zsh"]),
        ("tail --proxy d", ["db"]),
    ],
)
def test_what_is_offered(offered: Any, line: str, first: list[str]) -> None:
    assert offered(line) == first


def test_options_of_kinds_come_before_clauses(offered: Any) -> None:
    found = offered("add db delay ")
    assert found[0] == "delay="
    assert found.index("buffer=") < found.index("match")
    assert "match" not in offered("add db delay match n=1 ")


def test_nobody_answers_and_nothing_is_said(offered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASCAL_URL", "http://127.0.0.1:1")
    began = time.monotonic()
    assert offered("add ") == []
    assert time.monotonic() - began < 5
    assert offered("kinds dela") == ["delay"]


def test_a_service_that_does_not_answer_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RASCAL_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        began = time.monotonic()
        bash = Bash(rascal, {}, "rascal", "_RASCAL_COMPLETE")
        assert bash.get_completions(["faults"], "") == []
        assert completing.SECONDS <= time.monotonic() - began < 5


def test_every_shell_has_a_script(place: Place) -> None:
    for shell in SHELLS:
        done = place.run("completion", shell)
        assert done.exit_code == 0
        assert "_RASCAL_COMPLETE" in done.stdout
    assert place.run("completion", "tcsh").exit_code == 2


# ---- in the shells themselves


class Terminal:
    """A shell on a terminal."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environ)
        self.seen = ""
        self.status: int | None = None

    def until(self, pattern: str) -> None:
        """Read until it has been seen."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, plain(self.seen), re.DOTALL):
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in {plain(self.seen)!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 65536).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        """Type, and forget what was seen before."""
        self.seen = ""
        os.write(self.fd, keys.encode())

    def close(self) -> None:
        """End it."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        os.close(self.fd)

    def wait(self) -> int:
        """Its exit status, as the waiting call has it."""
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status


def plain(text: str) -> str:
    """Without the terminal's sequences."""
    text = re.sub(r"\x1b\][^\x07]*\x07|\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>(][B]?", "", text)
    while "\x08" in text:
        text = re.sub(r"(?:^|[^\x08])\x08", "", text, count=1)
    return text


def begin(shell: str, folder: Path, place: Place) -> Terminal:
    """The shell with the script loaded and `rascal` on its path."""
    tools = folder / "bin"
    tools.mkdir()
    tool = tools / "rascal"
    tool.write_text(f"#!{sys.executable}\nfrom rascal.cli import main\nmain()\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    environ = place.environ(
        HOME=str(folder),
        ZDOTDIR=str(folder),
        TERM="xterm",
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=str(Path(__file__).parents[2]),
        XDG_CONFIG_HOME=str(folder / "config"),
        XDG_DATA_HOME=str(folder / "data"),
    )
    script = place.run("completion", shell).stdout
    if shell == "bash":
        (folder / "rc").write_text(f"PS1='READY> '\n{script}")
        command = ["bash", "--noprofile", "--rcfile", str(folder / "rc"), "-i"]
    elif shell == "zsh":
        text = f"PS1='READY> '\nunsetopt prompt_sp\nautoload -U compinit; compinit -u -D\n{script}"
        (folder / ".zshrc").write_text(text)
        command = ["zsh", "-i"]
    else:
        home = folder / "config/fish"
        (home / "completions").mkdir(parents=True)
        (home / "completions/rascal.fish").write_text(script)
        text = "function fish_prompt; echo -n 'READY> '; end\nset -g fish_greeting\n"
        (home / "config.fish").write_text(text)
        command = ["fish", "-i"]
    terminal = Terminal(command, environ)
    terminal.until("READY> ")
    return terminal


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_in_the_shell(shell: str, clean: Place, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    clean.client.add("cache", "hang match key=1 name only-one")
    terminal = begin(shell, tmp_path, clean)
    try:
        terminal.type("rascal add ca\t")
        terminal.until("rascal add cache ")
        terminal.type("hang match comm\t")
        terminal.until(r"command=|and=")
        terminal.type("GET cou\t")
        terminal.until(r"count |nt ")
        terminal.type("1\r")
        terminal.until("armed")
        terminal.type("rascal remove cache/on\t")
        terminal.until("only-one ")
        terminal.type("\r")
        terminal.until("removed: matched 0, fired 0")
    finally:
        terminal.close()
    made = clean.client.faults("cache")
    assert [one["text"] for one in made.values()] == ["hang match command=GET count 1"]
