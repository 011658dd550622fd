"""Proof of ownership: kept for a day, by file or record, on redirects; what the panel shows."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as twisted_reactor
from twisted.internet.error import CannotListenError
from twisted.names import dns, server
from twisted.web.resource import Resource
from twisted.web.server import Site
from within import within

from rascal.control._problems import Problem
from rascal.load.known_proofs import LIFE, KnownProofs
from rascal.load.plan import Plan
from rascal.load.targets import PROOF, RECORD, TargetError, Targets, fingerprint
from rascal.panel.owned import OwnedTargets
from rascal.panel.settings import settings_of

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from load_place import asked, desk

reactor: Any = twisted_reactor
TOKEN = "a shared secret of ours"
OTHER = "127.0.0.2"
"""Stands for another machine, because tests have no other."""


class Strange(Targets):
    """Takes 127.0.0.2 for a machine that nobody allowed."""

    def permits(self, host: str, address: str) -> bool:
        if address == OTHER and host not in self.hosts:
            return (host.lower(), address) in self._proven
        return super().permits(host, address)


class Web(Resource):
    """Shows a proof, if it has one; leads elsewhere from /away; counts."""

    isLeaf = True

    def __init__(self, proof: str = "", away: str = "") -> None:
        super().__init__()
        self.proof, self.away = proof, away
        self.asked: list[str] = []

    def render_GET(self, request: Any) -> bytes:
        path = request.path.decode()
        self.asked.append(path)
        if path == "/away":
            request.redirect(self.away.encode())
            return b""
        if path == PROOF:
            if not self.proof:
                request.setResponseCode(404)
            return self.proof.encode()
        return b"welcome"


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    ports: list[Any] = []

    def start(web: Web, interface: str = "127.0.0.1") -> int:
        try:
            port = reactor.listenTCP(0, Site(web), interface=interface)
        except CannotListenError:
            pytest.skip(f"no {interface} here")
        ports.append(port)
        return int(port.getHost().port)

    yield start
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


# ---- kept for a day


def test_a_proof_is_kept_for_a_day_and_for_its_token(tmp_path: Path) -> None:
    now = [1000.0]
    path = str(tmp_path / "deep" / "targets.json")
    known = KnownProofs(TOKEN, path, lambda: now[0])
    known.add("shop.test", "10.1.2.3", "file")
    known.add("two.test", "10.1.2.3", "dns")
    assert known.holds("shop.test", "10.1.2.3")
    assert not known.holds("shop.test", "10.1.2.4")
    assert not known.holds("other.test", "10.1.2.3")
    assert not KnownProofs("another token", path, lambda: now[0]).holds("shop.test", "10.1.2.3")
    assert KnownProofs(TOKEN, path, lambda: now[0]).holds("two.test", "10.1.2.3")
    assert [one.host for one in known.all()] == ["shop.test", "two.test"]
    assert known.all()[0].until == 1000.0 + LIFE
    known.drop("two.test", "10.1.2.3")
    assert [one.host for one in known.all()] == ["shop.test"]
    now[0] += LIFE - 1
    assert known.holds("shop.test", "10.1.2.3")
    now[0] += 1
    assert not known.holds("shop.test", "10.1.2.3")
    assert TOKEN not in Path(path).read_text()
    assert os.stat(path).st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 9, "proofs": {}}', '{"version": 1, "proofs": {"x": 3}}']
)
def test_a_cache_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "targets.json"
    path.write_text(text)
    known = KnownProofs(TOKEN, str(path))
    assert known.all() == []
    known.add("shop.test", "10.1.2.3", "file")
    assert known.holds("shop.test", "10.1.2.3")


def test_a_cache_that_others_may_write_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    known = KnownProofs(TOKEN, str(path))
    known.add("shop.test", "10.1.2.3", "file")
    path.chmod(0o666)
    assert not known.holds("shop.test", "10.1.2.3")
    path.chmod(0o600)
    data = json.loads(path.read_text())
    for one in data["proofs"].values():
        one["at"] += 10 * LIFE  # of a clock that is wrong, or of somebody who wants it for long
    path.write_text(json.dumps(data))
    assert not known.holds("shop.test", "10.1.2.3")


def plan(port: int, host: str = OTHER) -> Plan:
    return Plan(file="", shares=(), target=f"http://{host}:{port}")


@pytest_twisted.ensureDeferred
async def test_a_known_target_is_not_asked_again(serve: Callable[..., int], tmp_path: Path) -> None:
    web = Web(fingerprint(TOKEN))
    port = serve(web, OTHER)
    path = str(tmp_path / "targets.json")
    for _ in range(2):
        targets = Strange(token=TOKEN, known=KnownProofs(TOKEN, path))
        await within(10, targets.check(reactor, plan(port)))
        targets(OTHER, OTHER)
    assert web.asked == [PROOF]
    # Who wants to know now is told, and what is no longer shown is forgotten.
    web.proof = ""
    assert await within(10, targets.prove(reactor, plan(port), OTHER, fresh=True)) == ""
    fresh = Strange(token=TOKEN, known=KnownProofs(TOKEN, path))
    with pytest.raises(TargetError, match="is not allowed from here"):
        await within(10, fresh.check(reactor, plan(port)))


# ---- by a record


@pytest.fixture
def names() -> Iterator[tuple[str, int, dict[str, str]]]:
    """A real name server with TXT records."""
    texts: dict[str, str] = {}

    class Answers:
        def query(self, query: Any, timeout: Any = None) -> Any:
            from twisted.internet.defer import fail, succeed

            name = query.name.name.decode()
            if name not in texts or query.type != dns.TXT:
                return fail(dns.DomainError())
            text = texts[name].encode()
            record = dns.Record_TXT(text[:40], text[40:], ttl=5)
            return succeed(([dns.RRHeader(name, dns.TXT, dns.IN, 5, record)], [], []))

    factory = server.DNSServerFactory(clients=[Answers()])
    protocol = dns.DNSDatagramProtocol(controller=factory)
    port = reactor.listenUDP(0, protocol, interface="127.0.0.1")
    yield "127.0.0.1", port.getHost().port, texts
    pytest_twisted.blockon(port.stopListening())


@pytest_twisted.ensureDeferred
async def test_a_name_proves_itself_by_a_record(
    serve: Callable[..., int], names: tuple[str, int, dict[str, str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    web = Web()
    port = serve(web, OTHER)
    host, number, texts = names

    async def there(*given: Any) -> list[str]:
        return [OTHER]

    monkeypatch.setattr("rascal.load.targets.resolve", there)
    known = KnownProofs(TOKEN, str(tmp_path / "targets.json"))
    targets = Strange(token=TOKEN, known=known)
    targets.name_servers = [(host, number)]
    texts[f"{RECORD}.shop.test"] = fingerprint("of somebody else")
    with pytest.raises(TargetError):
        await within(20, targets.check(reactor, plan(port, "shop.test")))
    texts[f"{RECORD}.shop.test"] = fingerprint(TOKEN)
    await within(20, targets.check(reactor, plan(port, "shop.test")))
    assert [one.how for one in known.all()] == ["dns"]
    # An address has no name to prove; another name is another target.
    texts[f"{RECORD}.{OTHER}"] = fingerprint(TOKEN)
    with pytest.raises(TargetError):
        await within(20, targets.check(reactor, plan(port)))
    with pytest.raises(TargetError):
        await within(20, targets.check(reactor, plan(port, "other.test")))


# ---- while load runs


@pytest.mark.integration
@pytest_twisted.ensureDeferred
async def test_a_redirect_to_another_host_needs_its_proof(serve: Callable[..., int]) -> None:
    other = Web()
    there = f"http://{OTHER}:{serve(other, OTHER)}/welcome"
    here = f"http://127.0.0.1:{serve(Web(away=there))}"
    targets = Strange(token=TOKEN)
    async with desk(here, targets) as at:
        with pytest.raises(Exception, match="is not allowed from here"):
            await asked(at.session.get("/away"))
        with pytest.raises(Exception, match="is not allowed from here"):
            await asked(at.session.get("/away"))
    assert other.asked == [PROOF]  # asked once, and sent no load
    other.proof = fingerprint(TOKEN)
    targets._none.clear()  # a minute later
    async with desk(here, targets) as at:
        response = await asked(at.session.get("/away"))
        assert response.body == b"welcome"
        await asked(at.session.get(there))
    assert other.asked[1:] == [PROOF, "/welcome", "/welcome"]


@pytest.mark.integration
@pytest_twisted.ensureDeferred
async def test_without_a_token_nobody_is_asked(serve: Callable[..., int]) -> None:
    other = Web(fingerprint(TOKEN))
    there = f"http://{OTHER}:{serve(other, OTHER)}/welcome"
    here = f"http://127.0.0.1:{serve(Web(away=there))}"
    async with desk(here, Strange()) as at:
        with pytest.raises(Exception, match="is not allowed from here"):
            await asked(at.session.get("/away"))
    assert other.asked == []


@pytest.mark.integration
@pytest_twisted.ensureDeferred
async def test_many_at_one_time_ask_once(serve: Callable[..., int]) -> None:
    from twisted.internet.defer import gatherResults

    other = Web(fingerprint(TOKEN))
    there = f"http://{OTHER}:{serve(other, OTHER)}/welcome"
    here = f"http://127.0.0.1:{serve(Web(away=there))}"
    async with desk(here, Strange(token=TOKEN)) as at:
        await within(20, gatherResults([at.session.get("/away") for _ in range(10)]))
    assert other.asked.count(PROOF) == 1
    assert other.asked.count("/welcome") == 10


# ---- what the panel shows


class FakePanel:
    def __init__(self, **options: str) -> None:
        self.settings = settings_of(None, options, {})
        self.reactor = reactor
        self.closing: list[Any] = []


@pytest.fixture
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OwnedTargets]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RASCAL_TOKEN_FILE", raising=False)
    monkeypatch.setenv("RASCAL_TOKEN", TOKEN)
    made: list[FakePanel] = []

    def make(**options: str) -> OwnedTargets:
        made.append(FakePanel(**options))
        return OwnedTargets(made[-1])

    yield make
    for one in made:
        for close in one.closing:
            close()


@pytest_twisted.ensureDeferred
async def test_what_is_allowed_and_why(
    panel: Callable[..., OwnedTargets], serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rascal.panel.owned.Targets", Strange)
    owned = panel(targets="*.shop.test, 10.1.0.0/16")
    web = Web(fingerprint(TOKEN))
    port = serve(web, OTHER)
    found = await within(20, owned.check(f"http://{OTHER}:{port}/"))
    assert (found["state"], found["ok"]) == ("proven", True)
    assert PROOF in found["why"]
    near = await within(20, owned.check(f"127.0.0.1:{port}"))
    assert (near["state"], near["why"]) == ("allowed", "this machine")
    net = await within(20, owned.check("http://10.1.2.3"))
    assert (net["state"], net["why"]) == ("allowed", "in 'targets' of panel.ini")
    shown = await within(20, owned.shown())
    assert [(one["host"], one["state"]) for one in shown["hosts"]] == [
        ("*.shop.test", "allowed"), ("10.1.0.0/16", "allowed"), (OTHER, "proven"),
    ]  # fmt: skip
    assert shown["proof"]["text"] == fingerprint(TOKEN)
    assert TOKEN not in json.dumps(shown)
    web.proof = "something else"
    found = await within(20, owned.check(f"http://{OTHER}:{port}"))
    assert (found["state"], found["ok"]) == ("refused", False)
    shown = await within(20, owned.shown())
    assert [(one["host"], one["state"]) for one in shown["hosts"]][2:] == [(OTHER, "refused")]


@pytest_twisted.ensureDeferred
async def test_without_a_token_there_is_nothing_to_prove_with(
    panel: Callable[..., OwnedTargets], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RASCAL_TOKEN")
    owned = panel()
    shown = await within(20, owned.shown())
    assert shown["proof"]["text"] == ""
    assert "RASCAL_TOKEN" in shown["needs"]
    assert panel(node_token=TOKEN).token == TOKEN


@pytest.mark.parametrize("target", [None, "", 3, "ftp://x", "http://a b", "http://u:p@x"])
@pytest_twisted.ensureDeferred
async def test_targets_that_are_none(panel: Callable[..., OwnedTargets], target: Any) -> None:
    with pytest.raises(Problem) as caught:
        await within(20, panel().check(target))
    assert caught.value.more["pointer"] == "/target"
