"""What dnspython's resolver sees of faults, in front of a real unbound."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.resolver
import pytest
from dns_servers import UNBOUND, unbound
from harness import Case, Node, check, look, running

from rascal.wire.dns_errors import ERRORS

pytestmark = pytest.mark.skipif(not UNBOUND, reason="unbound is not installed")
SEEN = ("dns", "dnspython")

DB = "db.shop.internal"


class Asker:
    """A resolver that asks one server and keeps nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.resolver = dns.resolver.Resolver(configure=False)
        self.resolver.nameservers = ["127.0.0.1"]
        self.resolver.port = port
        self.resolver.timeout = 0.2
        self.resolver.lifetime = 0.5
        self.resolver.retry_servfail = False

    def find(self, name: str = DB, kind: str = "A", *, tcp: bool = False) -> list[str]:
        answer = self.resolver.resolve(name, kind, tcp=tcp, search=False)
        return [record.to_text() for record in answer]

    def answer(self, name: str = DB, kind: str = "A", **more: Any) -> dns.message.Message:
        """The answer to one query over UDP, whatever it says."""
        query = dns.message.make_query(name, kind, **more)
        return dns.query.udp(query, "127.0.0.1", timeout=2, port=self.port)

    def ping(self) -> bool:
        return self.find() == ["127.0.0.1"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("dns")
    with unbound(folder / "unbound") as port:
        proxy = "protocol = dns\nlisten = 127.0.0.1:{free}\nupstream = 127.0.0.1:" + str(port)
        table = "answers = db.shop.internal=127.0.0.9, *.elsewhere.internal=127.0.0.8"
        ini = f"[proxy:names]\n{proxy}\n\n[proxy:table]\n{proxy}\n{table}\n"
        with running(folder / "node", ini) as one:
            yield one


@pytest.fixture
def asker(node: Node) -> Asker:
    node.clear()
    node.empty("names")
    return Asker(node.port("names"))


def find(asker: Asker) -> Any:
    return asker.find()


def find6(asker: Asker) -> Any:
    return asker.find(kind="AAAA")


def over_tcp(asker: Asker) -> Any:
    return asker.find(tcp=True)


def many(asker: Asker) -> Any:
    return sorted(asker.find("many.shop.internal"))


def lifetime(asker: Asker) -> Any:
    return asker.answer().answer[0].ttl


def soa(asker: Asker) -> Any:
    made = asker.answer()
    return made.rcode(), made.authority[0][0].minimum


NX, NOTHING, FAILED, LATE = (
    dns.resolver.NXDOMAIN,
    dns.resolver.NoAnswer,
    dns.resolver.NoNameservers,
    dns.resolver.LifetimeTimeout,
)
MATCH = "match name=db.shop.internal"
CASES = [
    Case("nxdomain", f"error(nxdomain) {MATCH}", find, NX, "does not exist"),
    Case("nxdomain", f"error(nxdomain, ttl=1d) {MATCH}", soa, (3, 86400)),
    Case("nxdomain", f"error(nxdomain) {MATCH} and transport=tcp", over_tcp, NX),
    Case("nodata", f"error(nodata) {MATCH}", find, NOTHING, "does not contain an answer"),
    Case("servfail", f"error(servfail) {MATCH}", find, FAILED, "SERVFAIL"),
    Case("servfail", f"error(servfail) {MATCH} at reply", find, FAILED, "SERVFAIL"),
    Case("servfail", "error(servfail) match rcode=NOERROR and address=127.0.0.1", find, FAILED),
    Case("bogus", f"error(bogus) {MATCH}", find, FAILED, "SERVFAIL"),
    Case("refused", f"error(refused) {MATCH}", find, FAILED, "REFUSED"),
    Case("formerr", f"error(formerr) {MATCH}", find, FAILED, "FORMERR"),
    Case("notimp", f"error(notimp) {MATCH}", find, FAILED, "NOTIMP"),
    Case("lame", f"error(lame) {MATCH}", find, NOTHING, "does not contain an answer"),
    Case("truncated", f"error(truncated) {MATCH} and transport=udp", find, ["127.0.0.1"]),
    Case("lose_request", f"lose_request {MATCH}", find, LATE, "timed out", fired=None),
    Case("lose_request", f"lose_request {MATCH} count 1", find, ["127.0.0.1"], took=(0.2, 1)),
    Case(
        "lose_reply", f"lose_reply {MATCH} and type=A count 1", find, ["127.0.0.1"], took=(0.2, 1)
    ),
    Case("hang", f"hang {MATCH}", find, LATE, "timed out", fired=None),
    Case("blackhole", "blackhole", find, LATE, "timed out", fired=None, took=(0.4, 2)),
    Case("refuse", "refuse", find, LATE, "timed out"),
    Case("delay", f"delay 80ms {MATCH}", find, ["127.0.0.1"], took=(0.08, 1)),
    Case("delay", "delay 80ms at reply match type=AAAA", find6, ["::1"], took=(0.08, 1)),
    Case("duplicate", f"duplicate {MATCH}", find, ["127.0.0.1"]),
    Case("duplicate", f"duplicate at reply {MATCH}", find, ["127.0.0.1"]),
    Case("replace", f"replace(address=10.0.0.9) {MATCH}", find, ["10.0.0.9"]),
    Case("replace", f"replace(address=10.0.0.9) at request {MATCH}", find6, NOTHING),
    Case("replace", f"replace(address=10.0.0.9) {MATCH} and transport=tcp", over_tcp, ["10.0.0.9"]),
    Case("replace", f"replace(ttl=0) {MATCH}", lifetime, 0),
    Case("replace", f"replace(ttl=7d) {MATCH}", lifetime, 604800),
    Case("replace", "replace(keep=1) match answers>=2", lambda a: len(many(a)), 1),
    Case("replace", f"replace(cname=nowhere.shop.internal) {MATCH}", find, NOTHING),
    Case("empty", f"empty {MATCH}", find, NOTHING),
    Case("truncate", f"truncate(20B) {MATCH}", find, LATE, "", fired=None),
    Case("corrupt", "corrupt(gap=3B) direction to_client", find, LATE, "", fired=None, took=(0, 2)),
    Case(
        "rate_limit",
        "rate_limit(5/s, burst=1, error=refused)",
        lambda a: (find(a), find(a)),
        FAILED,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kinds(node: Node, asker: Asker, seen: Callable[..., None], case: Case) -> None:
    check(case, node, "names", asker, seen)


def test_every_error_is_here() -> None:
    assert {case.name for case in CASES} >= set(ERRORS)


def test_truncated_and_nobody_on_tcp(node: Node, asker: Asker, seen: Callable[..., None]) -> None:
    with (
        node.fault("names", "error(truncated) match transport=udp", fired=None) as fault,
        node.fault("names", "lose_request match transport=tcp", fired=None),
    ):
        sight = look(asker.find)
        sight.raised(LATE)
    seen("truncated", fault.text, sight, "yes")


def test_a_stale_answer(node: Node, asker: Asker, seen: Callable[..., None]) -> None:
    """The answer of before, with the id and the letters of now."""
    with node.fault("names", "stale match type=A") as fault:
        first = asker.answer(id=1)
        sight = look(asker.answer, "DB.shop.INTERNAL", id=2)
        second = sight.value
    assert first.answer[0].to_text() == f"{DB}. 300 IN A 127.0.0.1"
    assert (second.id, second.question[0].name.to_text()) == (2, "DB.shop.INTERNAL.")
    assert second.answer[0].ttl == 300
    sight.value = second.answer[0].to_text()
    seen("stale", fault.text, sight, "yes")


def test_letters_are_echoed(node: Node, asker: Asker) -> None:
    for sentence in ("error(nxdomain)", "replace(address=10.0.0.9)", "empty", "delay 1ms"):
        with node.fault("names", sentence):
            made = asker.answer("dB.sHOp.iNTERNAl")
        assert made.question[0].name.to_text() == "dB.sHOp.iNTERNAl."


def test_answers_over_tcp_in_another_order(node: Node, asker: Asker) -> None:
    """Two queries in one write; the first is held, the second may pass it in the books."""
    queries = [
        dns.message.make_query(name, "A", id=n) for n, name in enumerate((DB, "v4.shop.internal"))
    ]
    with (
        node.fault("names", "error(nxdomain) match name=v4.shop.internal"),
        socket.create_connection(("127.0.0.1", node.port("names")), 5) as sock,
    ):
        data = [one.to_wire() for one in queries]
        sock.sendall(b"".join(len(one).to_bytes(2, "big") + one for one in data))
        found = {}
        for _ in queries:
            made, _when = dns.query.receive_tcp(sock, 1e12)
            found[made.id] = (int(made.rcode()), len(made.answer))
    assert found == {0: (0, 1), 1: (3, 0)}


def test_the_table_points_names_elsewhere(node: Node) -> None:
    asker = Asker(node.port("table"))
    for tcp in (False, True):
        assert asker.find(tcp=tcp) == ["127.0.0.9"]
        assert asker.find("a.b.elsewhere.internal", tcp=tcp) == ["127.0.0.8"]
        look(asker.find, DB, "AAAA", tcp=tcp).raised(NOTHING)
        assert asker.find("v4.shop.internal", tcp=tcp) == ["127.0.0.4"]
    with node.fault("table", "error(nxdomain) match name=db.shop.internal"):
        look(asker.find).raised(NX)


def pipeline(port: int, numbers: range) -> None:
    """Ten queries in one write over TCP; each answer fits its query."""
    names = [DB, "v4.shop.internal", "many.shop.internal", "none.shop.internal"]
    queries = {n: dns.message.make_query(names[n % 4], "A", id=n) for n in numbers}
    data = [one.to_wire() for one in queries.values()]
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"".join(len(one).to_bytes(2, "big") + one for one in data))
        for _ in numbers:
            made, _when = dns.query.receive_tcp(sock, time.time() + 10)
            asked = queries.pop(made.id)
            assert asked.is_response(made)
            assert sum(map(len, made.answer)) == (1, 1, 3, 0)[made.id % 4]
    assert not queries


def test_faults_come_and_go_while_names_are_asked_for(node: Node, asker: Asker) -> None:
    """Over both transports nothing is lost, doubled or mistaken."""
    failures: list[str] = []

    def ask_on() -> None:
        try:
            for n in range(25):
                pipeline(asker.port, range(n * 10, n * 10 + 10))
                query = dns.message.make_query(DB, "AAAA")
                made = dns.query.udp(query, "127.0.0.1", timeout=5, port=asker.port)
                assert made.answer[0][0].to_text() == "::1"
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    sentences = [
        "delay 3ms match name=v4.shop.internal",
        "delay 2ms at reply match type=A",
        "hang match type=AAAA for 10ms",
        "delay 1ms match rcode=NXDOMAIN",
        "error(servfail) match name=nobody.asks",
        "reorder(wait=5ms)",
        "throttle 5MB/s",
    ]
    armed = 0
    pause = threading.Event()
    while any(thread.is_alive() for thread in threads):
        with node.control.fault("names", sentences[armed % len(sentences)]):
            pause.wait(0.003)
        armed += 1
    for thread in threads:
        thread.join()
    assert failures == []
    assert armed > 10
    assert "not dns" not in node.log
