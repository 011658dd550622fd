"""toxiproxy.json, the command line of rascal-proxy in its place, and that of rascal-toxiproxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rascal.config import difference
from rascal.config.toxiproxy import is_toxiproxy, load_toxiproxy
from rascal.errors import ConfigErrors
from rascal.tap.toxiproxy import UsageError, read_flags, twistd_arguments

DB = {"name": "db", "listen": "127.0.0.1:3307", "upstream": "127.0.0.1:3306"}
LATENCY = {"type": "latency", "attributes": {"latency": 100}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "toxiproxy.json"


def write(file: Path, data: Any) -> str:
    file.write_text(json.dumps(data), encoding="utf-8")
    return str(file)


def test_a_file_of_proxies(file: Path) -> None:
    other = {"name": "other", "upstream": "db.internal:mysql", "listen": ":3308", "enabled": False}
    found = load_toxiproxy(write(file, [DB, other]), {})
    assert (found.compatible, str(found.control), found.seed) == ("open", "localhost:8474", None)
    db, second = found.proxies.values()
    assert (db.name, str(db.listen[0]), str(db.upstream)) == (
        "db",
        "127.0.0.1:3307",
        "127.0.0.1:3306",
    )
    assert db.protocol.name == "tcp"
    assert str(second.upstream) == "db.internal:3306"
    assert str(second.listen[0]) == "0.0.0.0:3308"
    assert not second.options.enabled


def test_its_toxics_are_not_ignored(file: Path) -> None:
    found = load_toxiproxy(write(file, [DB | {"toxics": [LATENCY]}]), {})
    (one,) = found.proxies["db"].installed
    assert one.name == "latency_downstream"
    assert one.toxic.attributes == {"latency": 100, "jitter": 0}


def test_any_port_of_all_addresses_is_one_port(file: Path) -> None:
    found = load_toxiproxy(write(file, [{"name": "db", "upstream": "a:1"}]), {})
    ports = {address.port for address in found.proxies["db"].listen}
    assert len(ports) == 1
    assert min(ports) > 0


def test_a_change_of_the_file_is_a_difference(file: Path) -> None:
    old = load_toxiproxy(write(file, [DB]), {})
    new = load_toxiproxy(write(file, [DB | {"toxics": [LATENCY]}]), {})
    (change,) = difference(old, new).changed
    assert [one.name for one in change.added] == ["latency_downstream"]
    assert not difference(new, load_toxiproxy(str(file), {}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "EOF"),
        ("{}", "the proxies are a list"),
        ("[{]", "line 1, column 3"),
        ('[{"name": "a"}]', "missing required field: upstream at proxy 1"),
        ('[{"name": "a", "upstream": "b:1", "toxics": [{"type": "slicer"}]}]', "average_size"),
        ('[{"name": "a", "upstream": "b:1"}, {"name": "a", "upstream": "b:1"}]', "two proxies"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_its_name(file: Path, text: str, why: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigErrors, match=why) as caught:
        load_toxiproxy(str(file), {})
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read: no such file"):
        load_toxiproxy(str(file), {})


def test_which_files_are_meant(tmp_path: Path) -> None:
    assert is_toxiproxy("toxiproxy.json")
    named = tmp_path / "proxies"
    named.write_text(' \n[{"name": "a"}]')
    assert not is_toxiproxy(str(tmp_path / "proxies.ini"))
    ini = tmp_path / "proxies.ini"
    ini.write_text("[rascal]\n[proxy:db]\n")
    assert not is_toxiproxy(str(ini))
    assert is_toxiproxy(str(named))


# ---- rascal-proxy


def options(*words: str) -> Any:
    from rascal.tap.proxy import Options

    found = Options()
    found.parseOptions(list(words))
    return found.configuration


def test_no_file_at_all() -> None:
    found = options("--toxiproxy")
    assert (str(found.control), found.compatible, found.proxies) == ("localhost:8474", "open", {})


def test_where_and_with_which_seed(file: Path) -> None:
    path = write(file, [DB])
    found = options("--config", path, "--host", "0.0.0.0", "--port", "9000", "--seed", "7")
    assert (str(found.control), found.seed, list(found.proxies)) == ("0.0.0.0:9000", 7, ["db"])
    assert str(options("--toxiproxy", "--host", "::1").control) == "[::1]:8474"
    assert str(options("--toxiproxy", "--control", "127.0.0.1:1").control) == "127.0.0.1:1"
    assert options("--toxiproxy", "--control", "off").control is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "--config is missing"),
        (("--toxiproxy", "--port", "x"), "control"),
        (("--toxiproxy", "--port", "70000"), "at most 65535"),
        (("--toxiproxy", "--seed", "x"), "seed"),
        (("--toxiproxy", "--control", "off", "--port", "1"), "so do --host and --port"),
        (("--config", "INI", "--port", "1"), "write --control"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    from twisted.python.usage import UsageError as Refused

    ini = tmp_path / "proxies.ini"
    ini.write_text("[rascal]\n")
    with pytest.raises(Refused, match=why):
        options(*(str(ini) if word == "INI" else word for word in words))


# ---- rascal-toxiproxy


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ([], {}),
        (["-host", "0.0.0.0", "-port", "1"], {"host": "0.0.0.0", "port": "1"}),
        (["--host=0.0.0.0", "--port=1"], {"host": "0.0.0.0", "port": "1"}),
        (["-proxy-metrics", "--runtime-metrics=true"], {"proxy-metrics", "runtime-metrics"}),
        (["-proxy-metrics=false", "-version"], {"version"}),
        (["-config=a=b.json"], {"config": "a=b.json"}),
        (["-seed", "-5"], {"seed": "-5"}),
    ],
)
def test_flags(words: list[str], flags: Any) -> None:
    found = read_flags(words)
    assert (set(found) if isinstance(flags, set) else found) == flags


@pytest.mark.parametrize(
    "words", [["host"], ["-prot", "1"], ["-port"], ["---port", "1"], ["-"], ["-version=x"]]
)
def test_flags_that_are_none(words: list[str]) -> None:
    with pytest.raises(UsageError):
        read_flags(words)


def test_what_twistd_is_told() -> None:
    found = twistd_arguments({"port": "1", "config": "a.json", "version": ""})
    assert found[-6:] == ["rascal-proxy", "--toxiproxy", "--port", "1", "--config", "a.json"]
