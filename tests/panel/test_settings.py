"""The options of [panel]: what is read, what is refused, and who may log in from where."""

from __future__ import annotations

from pathlib import Path

import pytest

from rascal.config.tokens import hash_token
from rascal.control._problems import Problem
from rascal.errors import ConfigErrors
from rascal.panel.door import TRIES, Door
from rascal.panel.settings import Settings, check_places, settings_of


def read(folder: Path, text: str) -> Settings:
    file = folder / "panel.ini"
    file.write_text(text)
    return settings_of(str(file), {}, {})


def test_without_a_file_it_is_for_this_machine_alone() -> None:
    found = settings_of(None, {}, {})
    assert found.url == "http://127.0.0.1:8480/"
    assert dict(found.nodes) == {"main": "http://127.0.0.1:8474"}
    assert found.tokens == ()


def test_a_file_and_the_command_line_before_it(tmp_path: Path) -> None:
    text = (
        "[panel]\nlisten = 0.0.0.0:9000\nnodes = a=http://h:1/, http://h:2\n"
        f"tokens =\n    operator {hash_token('secret')} ann\nrunning = 3\nsession = 2h\n"
    )
    found = read(tmp_path, text)
    assert dict(found.nodes) == {"a": "http://h:1", "node2": "http://h:2"}
    assert [(one.role, one.name) for one in found.tokens] == [("operator", "ann")]
    assert (found.running, found.session) == (3, 7200)
    file = str(tmp_path / "panel.ini")
    assert settings_of(file, {"listen": "127.0.0.1:1"}, {}).listen.port == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("store = /", "'store' is a folder: /; name a file"),
        ("scenarios = /is/not/there", "'scenarios' is no folder: /is/not/there"),
        ("experiments = /etc/passwd", "'experiments' is no folder: /etc/passwd"),
    ],
)
def test_places_are_there(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check_places(read(tmp_path, f"[panel]\n{line}\n"))
    assert message in str(caught.value)
    check_places(settings_of(None, {}, {}))


def test_a_container_can_be_open(tmp_path: Path) -> None:
    found = read(tmp_path, "[panel]\nlisten = 0.0.0.0:8480\nlogin = none\n")
    assert Door(found, lambda: 0.0).open


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("listn = 127.0.0.1:1", "panel.ini:2:1: [panel] has no option 'listn'"),
        ("listn = 127.0.0.1:1", "Did you mean 'listen'?"),
        ("listen = 0.0.0.0:80", "needs tokens"),
        ("nodes = h:1", "'h:1' is no URL of a control API"),
        ("nodes = a=http://h:1 a=http://h:2", "two nodes are called 'a'"),
        ("running = 0", "running is a whole number from 1"),
        ("running = 1000", "running is at most 64"),
        ("session = 1s", "session is at least 1m"),
        ("tokens = admin secret", "a token is written as ROLE sha256:"),
        ("store =", "'store' is empty"),
        (f"login = none\ntokens = admin {hash_token('a')}", "lets everybody in, and there are"),
    ],
)
def test_what_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, f"[panel]\n{line}\n")
    assert message in str(caught.value)


def test_a_file_without_the_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"has no section \[panel\]"):
        read(tmp_path, "[rascal]\n")


def test_wrong_tokens_have_to_wait(tmp_path: Path) -> None:
    now = [0.0]
    token = hash_token("right")
    door = Door(read(tmp_path, f"[panel]\ntokens =\n    admin {token} ann\n"), lambda: now[0])
    for _ in range(TRIES):
        with pytest.raises(Problem, match="not known"):
            door.log_in("wrong", "10.0.0.1")
    with pytest.raises(Problem) as caught:
        door.log_in("right", "10.0.0.1")
    assert caught.value.status == 429
    assert door.log_in("right", "10.0.0.2")[1].role == "admin"
    now[0] = 61.0
    value, caller = door.log_in("right", "10.0.0.1")
    assert caller.may("admin") and value not in str(door._sessions)
