"""Servers as words: what is understood, where the proxies listen, and what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.config import installed, load
from rascal.errors import ConfigErrors
from rascal.wrapping.inifile import MAIN, TRIES
from rascal.wrapping.words import is_server, servers_of, words_ini

PROTOCOLS = installed().protocols


def listens(*words: str) -> list[tuple[str, str, str, int]]:
    return [
        (one.name, one.protocol, one.upstream, one.listen) for one in servers_of(words, PROTOCOLS)
    ]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("db=mysql://10.0.0.5:3306", ("db", "mysql", "10.0.0.5:3306", 3307)),
        ("cache=memcached://cache", ("cache", "memcached", "cache:11211", 11212)),
        ("mysql://u:p%40@db.internal/shop?x=1", ("mysql", "mysql", "db.internal:3306", 3307)),
        ("10.0.0.7:6379", ("redis", "redis", "10.0.0.7:6379", 6380)),
        ("shop:8080", ("http", "http", "shop:8080", 8081)),
        ("shop:4321", ("tcp", "tcp", "shop:4321", 4322)),
        ("pg=postgres://pg", ("pg", "tcp", "pg:5432", 5433)),
        ("q=amqp://q", ("q", "tcp", "q:5672", 5673)),
        ("pay=http://pay.example/v1", ("pay", "http", "pay.example:80", 10080)),
        ("pay=https://pay.example/v1", ("pay", "http", "pay.example:443", 10443)),
        ("v6=redis://[fd00::5]:6379", ("v6", "redis", "[fd00::5]:6379", 6380)),
        ("ns=dns://10.0.0.2", ("ns", "dns", "10.0.0.2:53", 10053)),
        ("last=tcp://h:65535", ("last", "tcp", "h:65535", 1025)),
    ],
)
def test_a_word(word: str, found: tuple[str, str, str, int]) -> None:
    assert is_server(word)
    assert listens(word) == [found]


def test_several_have_names_and_ports_of_their_own() -> None:
    assert listens("a:6379", "b:6379", "127.0.0.1:6380", "c=tcp://d:8473") == [
        ("redis", "redis", "a:6379", 6381),
        ("redis-2", "redis", "b:6379", 6382),
        ("tcp", "tcp", "127.0.0.1:6380", 6383),
        ("c", "tcp", "d:8473", 8475),
    ]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("db=mysq://h", "the protocol 'mysq' is not known; any other server is tcp://HOST:PORT."
         " Did you mean 'mysql'?"),
        ("db=tcp://h", "'db=tcp://h' has no port"),
        ("db=h:99999", "a port is at most 65535"),
        ("9db=h:1", "'9db' is no name for a proxy"),
        ("db=", "'db=' is no server: write NAME=PROTOCOL://HOST:PORT"),
        ("db=mysql://ü:1", "is no server"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_meant(word: str, says: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        servers_of([word], PROTOCOLS)
    assert says in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigErrors) as caught:
        servers_of(["a=tcp://x", "b=foo://x:1", "c=x:1", "c=y:1"], PROTOCOLS)
    assert len(caught.value.findings) == 3


@pytest.mark.parametrize("word", ["docker-compose.yml", ".", "a/b", "compose.yaml", "shop"])
def test_files_are_no_servers(word: str) -> None:
    assert not is_server(word)


def test_secrets_are_not_kept(tmp_path: Path) -> None:
    text = words_ini(servers_of(["db=mysql://root:geheim@h/x"], PROTOCOLS), 8474)
    assert "geheim" not in text and "root" not in text


def test_tls_is_spoken_to_the_server_alone(tmp_path: Path) -> None:
    (one,) = servers_of(["cache=rediss://h:6380"], PROTOCOLS)
    assert (one.tls, one.here) == (True, "redis://127.0.0.1:6381")
    path = tmp_path / "proxies.ini"
    path.write_text(words_ini([one], 8474))
    assert load(str(path), {}).proxies["cache"].given["tls"] == "originate"


hosts = st.sampled_from(["a", "db.internal", "10.0.0.5", "127.0.0.1", "localhost", "[::1]"])
schemes = st.sampled_from(["", "mysql://", "redis://", "rediss://", "https://", "udp://", "tcp://"])
words = st.builds("{}{}:{}".format, schemes, hosts, st.integers(1, 65535))


@given(st.lists(words, min_size=1, max_size=8), st.integers(1, 65535))
def test_any_list_makes_a_file_that_loads(several: list[str], control: int) -> None:
    servers = servers_of(several, PROTOCOLS, control)
    local = {one.port for one in servers if one.host in ("127.0.0.1", "localhost", "[::1]")}
    ports = [one.listen for one in servers]
    assert len({*ports}) == len(ports) and not {*ports} & {control, *local}
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(words_ini(servers, control))
        file.flush()
        found = load(file.name, {})
    assert list(found.proxies) == [one.name for one in servers]


def test_every_fault_that_is_suggested_can_be_installed(tmp_path: Path) -> None:
    assert set(TRIES) == set(PROTOCOLS)
    for protocol, several in TRIES.items():
        for fault in (*several, MAIN.get(protocol, "hang")):
            path = tmp_path / "proxies.ini"
            path.write_text(
                f"[proxy:x]\nprotocol = {protocol}\nlisten = 127.0.0.1:1\nupstream = 127.0.0.1:2\n"
                f"faults =\n    {fault}\n"
            )
            assert load(str(path), {}).proxies["x"].installed, (protocol, fault)
