"""Whom load may be sent to: patterns, networks, loopback, the proof file, the probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from within import within

from rascal.errors import ConfigErrors
from rascal.load.plan import Plan
from rascal.load.targets import (
    LONGEST_PROOF,
    PROOF,
    TargetError,
    Targets,
    fingerprint,
    target_problems,
)

TOKEN = "a shared secret"


@pytest.mark.parametrize(
    ("allow", "host", "address", "permitted"),
    [
        ([], "localhost", "127.0.0.1", True),
        ([], "localhost", "127.8.9.10", True),
        ([], "localhost", "::1", True),
        ([], "localhost", "::ffff:127.0.0.1", True),
        ([], "0.0.0.0", "0.0.0.0", True),
        ([], "localhost", "/run/app.sock", True),
        ([], "localhost", "10.1.2.3", False),  # a name is no proof: the address counts
        ([], "shop.test", "10.1.2.3", False),
        ([], "::ffff:10.1.2.3", "::ffff:10.1.2.3", False),
        ([], "shop.test", "fe80::1%eth0", False),
        ([], "shop.test", "not an address", False),
        (["shop.test"], "shop.test", "10.1.2.3", True),
        (["Shop.Test."], "SHOP.test.", "10.1.2.3", True),
        (["shop.test"], "a.shop.test", "10.1.2.3", False),
        (["shop.test"], "shop.test.evil.test", "10.1.2.3", False),
        (["*.shop.test"], "a.shop.test", "10.1.2.3", True),
        (["*.shop.test"], "a.b.shop.test", "10.1.2.3", True),
        (["*.shop.test"], "shop.test", "10.1.2.3", False),
        (["*.shop.test"], "badshop.test", "10.1.2.3", False),
        (["10.1.0.0/16"], "shop.test", "10.1.2.3", True),
        (["10.1.0.0/16"], "shop.test", "::ffff:10.1.2.3", True),
        (["10.1.0.0/16"], "shop.test", "10.2.2.3", False),
        (["10.1.2.3"], "10.1.2.3", "10.1.2.3", True),
        (["10.1.2.3/16"], "shop.test", "10.1.9.9", True),
        (["2001:db8::/32"], "shop.test", "2001:db8::5", True),
        (["[2001:db8::5]"], "[2001:db8::5]", "2001:db8::5", True),
        (["2001:db8::/32"], "shop.test", "10.1.2.3", False),
    ],
)
def test_what_is_permitted(allow: list[str], host: str, address: str, permitted: bool) -> None:
    targets = Targets(allow)
    assert targets.permits(host, address) is permitted
    if permitted:
        targets(host, address)
    else:
        with pytest.raises(TargetError, match="is not allowed from here: allow it with --allow"):
            targets(host, address)


@pytest.mark.parametrize(
    "pattern", ["", "*", "*.*", "http://shop.test", "shop.test:80", "10.0.0.0/99", "10.0.0", "a b"]
)
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(ConfigErrors, match="neither a host"):
        Targets([pattern])


def test_a_proof_counts_for_its_host_and_address_alone() -> None:
    targets = Targets(token=TOKEN)
    targets.proven("Shop.test", "10.1.2.3")
    assert targets.permits("shop.test", "10.1.2.3")
    assert targets.permits("shop.test.", "::ffff:10.1.2.3")
    assert not targets.permits("shop.test", "10.1.2.4")
    assert not targets.permits("other.test", "10.1.2.3")


def test_the_fingerprint_names_the_token_and_hides_it() -> None:
    assert fingerprint(TOKEN) == fingerprint(TOKEN.encode())
    assert fingerprint(TOKEN) != fingerprint(TOKEN + "!")
    assert TOKEN not in fingerprint(TOKEN)
    assert len(fingerprint(TOKEN)) == len("sha256:") + 64


def test_good_targets() -> None:
    for target in ("http://a", "https://[::1]:8443/base", "http+unix://%2Frun%2Fapp.sock"):
        assert target_problems(target) == []


# ---- before load starts, with sockets


class Web(Protocol):
    """Answers every request with the same bytes; b"" hangs."""

    def __init__(self, says: bytes) -> None:
        self.says = says
        self.asked = b""

    def dataReceived(self, data: bytes) -> None:
        self.asked += data
        if b"\r\n\r\n" in self.asked and self.says:
            assert self.transport is not None
            self.factory.asked.append(self.asked)  # type: ignore[union-attr]
            self.asked = b""
            self.transport.write(self.says)
            self.transport.loseConnection()


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.fixture
def serve() -> Any:
    """A web server on loopback; gives its port and what it was asked."""
    ports: list[Any] = []

    def start(says: bytes, interface: str = "127.0.0.1") -> tuple[int, list[bytes]]:
        factory = Factory.forProtocol(lambda: Web(says))  # type: ignore[arg-type]
        factory.asked = []  # type: ignore[attr-defined]
        port = reactor.listenTCP(0, factory, interface=interface)  # type: ignore[attr-defined]
        ports.append(port)
        return port.getHost().port, factory.asked  # type: ignore[attr-defined]

    yield start
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


class Strange(Targets):
    """Takes loopback for a foreign network, because tests have no other."""

    def permits(self, host: str, address: str) -> bool:
        name = (host.lower(), address)
        return name in self._proven or host in self.hosts


def plan(target: str, **given: Any) -> Plan:
    return Plan(file="", shares=(), target=target, **given)


async def refused(targets: Targets, target: str, **given: Any) -> str:
    with pytest.raises(TargetError) as caught:
        await within(10, targets.check(reactor, plan(target, **given)))
    return str(caught.value)


@pytest_twisted.ensureDeferred
async def test_a_target_that_takes_connections(serve: Callable[..., Any]) -> None:
    port, asked = serve(reply(b""))
    await within(5, Targets().check(reactor, plan(f"http://127.0.0.1:{port}/base")))
    await within(5, Targets().check(reactor, plan(f"http://localhost:{port}")))
    assert asked == []


@pytest_twisted.ensureDeferred
async def test_nobody_listens() -> None:
    free = reactor.listenTCP(0, Factory(), interface="127.0.0.1")  # type: ignore[attr-defined]
    number = free.getHost().port
    await free.stopListening()
    said = await refused(Targets(), f"http://127.0.0.1:{number}")
    assert said == (
        f"target http://127.0.0.1:{number} cannot be reached: "
        f"127.0.0.1:{number}: connection refused"
    )


@pytest_twisted.ensureDeferred
async def test_a_unix_socket(tmp_path: Any) -> None:
    path = tmp_path / "app.sock"
    target = "http+unix://" + str(path).replace("/", "%2F")
    assert str(path) in await refused(Targets(), target)
    port = reactor.listenUNIX(str(path), Factory.forProtocol(Protocol))  # type: ignore[attr-defined]
    try:
        await within(5, Targets().check(reactor, plan(target)))
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_name_without_address() -> None:
    said = await refused(Targets(), "http://nobody.invalid:80")
    assert said == "target http://nobody.invalid:80: the name 'nobody.invalid' has no address"


@pytest_twisted.ensureDeferred
async def test_a_foreign_target_must_be_allowed(serve: Callable[..., Any]) -> None:
    port, asked = serve(reply(b""))
    target = f"http://127.0.0.1:{port}"
    said = await refused(Strange(), target)
    assert "load to 127.0.0.1 is not allowed from here" in said
    assert PROOF in said
    assert asked == []  # without a token nobody asks for a proof
    allowed = Strange()
    allowed.hosts.add("127.0.0.1")
    await within(5, allowed.check(reactor, plan(target)))


@pytest_twisted.ensureDeferred
async def test_a_target_proves_itself(serve: Callable[..., Any]) -> None:
    proof = f"# ours\nsha256:other\n  {fingerprint(TOKEN)}\r\n".encode()
    port, asked = serve(reply(proof))
    targets = Strange(token=TOKEN)
    await within(5, targets.check(reactor, plan(f"http://127.0.0.1:{port}/base")))
    targets("127.0.0.1", "127.0.0.1")
    assert asked[0].startswith(f"GET {PROOF} HTTP/1.1\r\n".encode())
    assert f"Host: 127.0.0.1:{port}".encode() in asked[0]
    assert TOKEN.encode() not in asked[0]


@pytest.mark.parametrize(
    "says",
    [
        reply(b"no such file", b"404 Not Found"),
        reply(fingerprint(TOKEN).encode(), b"404 Not Found"),
        reply(fingerprint("another").encode()),
        reply(b"<p>" + fingerprint(TOKEN).encode()),
        reply(b"x\n" * LONGEST_PROOF + fingerprint(TOKEN).encode()),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"what?\r\n\r\n",
    ],
    ids=["missing", "not found", "another", "hidden", "long", "redirect", "garbage"],
)
@pytest_twisted.ensureDeferred
async def test_what_proves_nothing(serve: Callable[..., Any], says: bytes) -> None:
    port, asked = serve(says)
    said = await refused(Strange(token=TOKEN), f"http://127.0.0.1:{port}")
    assert "is not allowed from here" in said
    assert asked


@pytest_twisted.ensureDeferred
async def test_a_target_that_hangs_proves_nothing(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rascal.load.targets.PATIENCE", 0.1)
    port, _ = serve(b"")
    said = await refused(Strange(token=TOKEN), f"http://127.0.0.1:{port}")
    assert "is not allowed from here" in said


@pytest_twisted.ensureDeferred
async def test_one_of_two_addresses(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with an address that proves itself and one that does not: only the first is used."""
    port, _ = serve(reply(fingerprint(TOKEN).encode()), "127.0.0.1")
    try:
        other = reactor.listenTCP(  # type: ignore[attr-defined]
            port, Factory.forProtocol(lambda: Web(reply(b"no"))), interface="127.0.0.2"
        )
    except CannotListenError:
        pytest.skip("no 127.0.0.2 here")

    async def both(*given: Any) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr("rascal.load.targets.resolve", both)
    targets = Strange(token=TOKEN)
    try:
        # The other server's factory keeps no list: it is never asked for more than the proof.
        other.factory.asked = []
        await within(5, targets.check(reactor, plan(f"http://shop.test:{port}")))
    finally:
        await other.stopListening()
    assert targets.permits("shop.test", "127.0.0.1")
    assert not targets.permits("shop.test", "127.0.0.2")
