"""The protocol without messages, and how protocols are found."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import rascal.wire
from rascal.wire import broken, protocols
from rascal.wire.tcp import PROTOCOL, Tcp
from rascal.wire.types import WireProtocol


class Stomp(Tcp):
    name = "stomp"
    title = "STOMP"


class Nameless(WireProtocol):
    def codecs(self, session: Any, ledger: Any) -> Any:
        raise NotImplementedError


STOMP = Stomp()
NAMELESS = Nameless()
AMQP = type("Amqp", (Tcp,), {"name": "amqp"})
NO_PROTOCOL = 7


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Entry points in place of those that are installed."""

    def use(**values: str) -> None:
        points = [EntryPoint(name, value, rascal.wire.GROUP) for name, value in values.items()]
        monkeypatch.setattr(rascal.wire, "entry_points", lambda group: points)
        rascal.wire._found.cache_clear()

    yield use
    rascal.wire._found.cache_clear()


def test_tcp_has_no_messages() -> None:
    assert PROTOCOL.name == "tcp"
    assert not PROTOCOL.messages
    assert [field.name for field in PROTOCOL.fields] == ["client"]
    assert not PROTOCOL.errors
    with pytest.raises(NotImplementedError):
        PROTOCOL.codecs(PROTOCOL.session(PROTOCOL.options.plain({})), None)  # type: ignore[arg-type]
    assert PROTOCOL.error("ERR") is None


def test_protocols_are_found_in_their_order(extensions: Callable[..., None]) -> None:
    extensions(a=f"{__name__}:STOMP", z=f"{__name__}:AMQP")
    names = list(protocols())
    known = names[: names.index("amqp")]
    assert known[:5] == ["tcp", "http", "mysql", "memcached", "redis"]
    assert names == [*known, "amqp", "stomp"]
    assert protocols()["tcp"] is PROTOCOL
    assert protocols()["stomp"] is STOMP
    assert isinstance(protocols()["amqp"], AMQP)
    assert all(protocol.name == name for name, protocol in protocols().items())
    assert protocols() is protocols()
    assert not broken()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no.such.module:PROTOCOL", "No module named 'no'"),
        (f"{__name__}:NOTHING", "NOTHING"),
        (f"{__name__}:NO_PROTOCOL", "int is no WireProtocol"),
        (f"{__name__}:NAMELESS", "no name"),
        ("rascal.wire.tcp:PROTOCOL", "there is a protocol 'tcp' already"),
    ],
)
def test_a_broken_extension_is_named_and_the_others_stay(
    extensions: Callable[..., None], value: str, says: str
) -> None:
    extensions(bad=value, good=f"{__name__}:STOMP")
    assert "stomp" in protocols()
    assert protocols()["tcp"] is PROTOCOL
    assert list(broken()) == ["bad"]
    text = str(broken()["bad"])
    assert f"'bad = {value}'" in text
    assert says in text


def test_importing_the_package_looks_for_nothing() -> None:
    code = (
        "import sys, rascal.wire; "
        "assert not [name for name in sys.modules if name.startswith('rascal.wire.')]; "
        "rascal.wire.protocols(); "
        "assert 'rascal.wire.redis' in sys.modules and 'twisted' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_installed_entry_points_are_asked() -> None:
    assert rascal.wire.entry_points is importlib.metadata.entry_points
