"""What an agent's operator may write: command line, environment, file; and where a Redis is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rascal.errors import ConfigError, ConfigErrors
from rascal.load.agent_options import agent_options
from rascal.load.places import Place, parse_place

TOKEN = "a token that is long enough"


def findings(path: str | None = None, environ: dict[str, str] | None = None, **given: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        agent_options(path, given, environ or {})
    return str(caught.value)


def test_defaults() -> None:
    options = agent_options(None, {"redis": "127.0.0.1"}, {})
    assert options.place == Place()
    assert (options.dependencies, options.max_in_flight, options.orphan) == (False, 10_000, 60.0)
    assert options.targets == () and options.token == "" and options.name


def test_command_line_before_environment_before_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    path = tmp_path / "agents.ini"
    path.write_text(
        "[rascal]\nseed = 3\n[agent]\nredis = redis://file:1\nname = file\norphan = 5m\n"
        f"dependencies = yes\ntoken_file = {tmp_path}/token\n"
        "targets = shop.test, *.shop.test\n    10.0.0.0/8\n"
    )
    options = agent_options(str(path), {}, {})
    assert (options.place.host, options.name, options.orphan) == ("file", "file", 300.0)
    assert options.targets == ("shop.test", "*.shop.test", "10.0.0.0/8")
    assert options.dependencies and options.token == TOKEN
    environ = {"RASCAL_REDIS": "redis://env:2", "RASCAL_REDIS_PASSWORD": "kettle"}
    options = agent_options(str(path), {"name": "line"}, environ)
    assert (options.place.host, options.place.port, options.name) == ("env", 2, "line")
    assert options.place.password == "kettle" and "kettle" not in repr(options)
    options = agent_options(str(path), {"redis": "redis://:own@line:3"}, environ)
    assert (options.place.host, options.place.password) == ("line", "own")


def test_findings_of_a_file_have_their_place(tmp_path: Path) -> None:
    path = tmp_path / "agents.ini"
    path.write_text("[agent]\nredis = h\ntokenfile = x\norphan = 3\nmax_in_flight = 0\nname =\n")
    lines = findings(str(path)).splitlines()
    assert [line.removeprefix(f"{path}:") for line in lines] == [
        "3:1: [agent] has no option 'tokenfile'; options: redis, name, namespace, token_file, "
        "targets, dependencies, cache, max_in_flight, orphan, log. Did you mean 'token_file'?",
        "4:10: '3' has no unit: write 3s or 3ms (units: us, ms, s, m, h, d)",
        "5:17: max_in_flight is a whole number from 1, found '0'",
        "6:7: 'name' is empty",
    ]
    path.write_text("[agents]\nredis = h\n")
    assert f"{path} has no section [agent]" in findings(str(path))
    assert "cannot be read" in findings(str(tmp_path / "none"))


def test_what_is_wrong_together_is_said_together() -> None:
    assert findings() == "no Redis is named: --redis redis://HOST, or redis in [agent]"
    assert "is not on this machine: set RASCAL_TOKEN" in findings(redis="10.1.1.1")
    assert agent_options(None, {"redis": "10.1.1.1"}, {"RASCAL_TOKEN": TOKEN}).token == TOKEN
    lines = findings(redis="http://x", orphan="3", targets="a b:c").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("--orphan: '3' has no unit")
    assert lines[2].startswith("targets: 'b:c' is neither a host")
    text = findings(redis="h", environ={"RASCAL_TOKEN": "short"})
    assert text == ("the token in RASCAL_TOKEN has 5 characters; at least 16: take random ones")


@pytest.mark.parametrize(
    ("text", "place", "shown"),
    [
        ("redis://h", Place(host="h"), "h:6379"),
        ("h:7", Place(host="h", port=7), "h:7"),
        (
            "redis://u:p%40@h:7/3",
            Place(host="h", port=7, user="u", password="p@", database=3),
            "h:7",
        ),
        ("redis://[::1]:7", Place(host="::1", port=7), "[::1]:7"),
        ("rediss://h?ca=/a.pem", Place(host="h", tls=True, authorities="/a.pem"), "h:6379"),
        ("unix:///r.sock", Place(host="", port=0, path="/r.sock"), "unix:/r.sock"),
        (
            "unix://:pw@/r.sock?db=2",
            Place(host="", port=0, path="/r.sock", password="pw", database=2),
            "unix:/r.sock",
        ),
    ],
)
def test_places(text: str, place: Place, shown: str) -> None:
    assert parse_place(text) == place
    assert str(place) == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://h", "'http://' is no Redis; allowed: redis://, rediss://, unix://"),
        ("redis://h/x", "'x' is no number of a Redis database"),
        ("redis://h?ca=x", "a redis:// URL has no option 'ca'; options: none"),
        ("redis://", "names no host: write redis://HOST:6379"),
        ("unix://r.sock", "names no socket: write unix:///path/of.sock"),
        ("redis://:secret@h:port", "is no URL of a Redis"),
        ("redis://:secret@h:99999", "is no URL of a Redis"),
    ],
)
def test_places_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_place(text)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("[::1]:1", True),
        ("unix:///x", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("0.0.0.0", False),
    ],
)
def test_what_only_this_machine_can_reach(text: str, local: bool) -> None:
    assert parse_place(text).local is local
