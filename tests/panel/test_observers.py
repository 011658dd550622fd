"""Observers: a real HTTP receiver, a real SMTP server, a real command are told of runs' ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from aiosmtpd.controller import Controller
from panel_process import SCENARIO, PanelProcess, free_port, target
from twisted.internet import reactor as twisted_reactor
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Site

from rascal.errors import ConfigErrors
from rascal.panel import deliveries, observers
from rascal.panel.deliveries import Refused, Webhook
from rascal.panel.hub import Hub
from rascal.panel.mailing import Mail, mail_of, mail_problem
from rascal.panel.observers import Observers
from rascal.panel.settings import settings_of
from rascal.store import Store

reactor: Any = twisted_reactor
PLAN = {"file": "shop.py", "target": "http://127.0.0.1:8080", "name": "checkout"}
BAD = 'Stuck\r\nBcc: x@y\r\n\r\n<b>"$(touch /tmp/x)"'


class Receiver(Resource):
    """Keeps what it is told; answers with the codes that it has been given."""

    isLeaf = True

    def __init__(self, codes: list[int]) -> None:
        super().__init__()
        self.codes = codes
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def render_POST(self, request: Any) -> bytes:
        self.got.append(json.loads(request.content.read()))
        self.headers.append(
            {name.decode().lower(): values[0].decode()
             for name, values in request.requestHeaders.getAllRawHeaders()}
        )  # fmt: skip
        request.setResponseCode(self.codes.pop(0) if self.codes else 204)
        request.setHeader(b"location", b"http://127.0.0.1:1/")
        return b""


@pytest.fixture
def receive() -> Iterator[Callable[..., tuple[str, Receiver]]]:
    ports: list[Any] = []

    def make(*codes: int) -> tuple[str, Receiver]:
        receiver = Receiver(list(codes))
        port = reactor.listenTCP(0, Site(receiver), interface="127.0.0.1")
        ports.append(port)
        return f"http://127.0.0.1:{port.getHost().port}/hook?key=secret", receiver

    yield make
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


class Runs:
    """As much of the panel's runs as observers need."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = str(store.database.path)

    async def ask(self, function: Any, *given: Any) -> Any:
        return function(self.store, *given)


class FakePanel:
    """As much of the panel as observers need."""

    def __init__(self, store: Store, **options: str) -> None:
        self.settings = settings_of(None, options, {})
        self.reactor = reactor
        self.hub = Hub(reactor, lambda caller: {})
        self.runs = Runs(store)
        self.closing: list[Any] = []
        self.audited: list[dict[str, Any]] = []

    def close(self) -> None:
        self.hub.close()
        for close in self.closing:
            close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "runs.db"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "BACKOFF", (0.01, 0.01, 0.01))


def ended(store: Store, *, status: int = 0, name: str = "checkout", **more: Any) -> str:
    run = store.create({**PLAN, "name": name}, {}, name=name, labels=["nightly"], by="ann", **more)
    store.begin(run, time.time() - 5)
    store.finish(run, "completed", {"status": status})
    return run


async def until(reached: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends, "it did not happen"
        await deferLater(reactor, 0.01)


def watched(panel: FakePanel) -> Observers:
    made = Observers(panel)
    made.begin()
    return made


def settled(made: Observers, name: str, count: int) -> Callable[[], bool]:
    return lambda: len(made.kept[name]["told"]) == count and not made._busy and not made._later


# ---- settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://x", "is a URL of an SMTP server"),
        ("smtp:///?from=a@b&to=c@d", "is a URL of an SMTP server"),
        ("smtp://h:99999/?from=a@b&to=c@d", "is no URL"),
        ("smtp://h/?from=a@b", "'' is no address"),
        ("smtp://h/?from=a&to=c@d", "'a' is no address"),
        ("smtp://h/?from=a@b&to=c@d&cc=e@f", "'cc' is not known"),
        ("smtp://h/?from=a@b&to=c@d%0ABcc:%20x@y", "is no address"),
        ("smtp://h/?from=a@b&to=c@d&tls=maybe", "tls is yes or no"),
    ],
)
def test_mail_that_cannot_be(text: str, said: str) -> None:
    assert said in mail_problem(text)
    with pytest.raises(ConfigErrors):
        settings_of(None, {"mail": text}, {})


def test_mail_that_can_be() -> None:
    mail = mail_of("smtp://ann:p%40ss@mail.example.org:587/?from=r@example.org&to=a@b,c@d")
    assert mail == Mail(
        host="mail.example.org", port=587, sender="r@example.org", to=("a@b", "c@d"), user="ann",
        password="p@ss",
    )  # fmt: skip
    assert "p@ss" not in repr(mail)
    assert mail.shown == "a@b, c@d through mail.example.org:587"
    assert mail_of("smtps://h/?from=a@b&to=c@d").port == 465


def test_settings_hide_what_may_be_secret() -> None:
    settings = settings_of(None, {"webhook": "https://h/x?key=secret"}, {})
    assert "secret" not in repr(settings)
    with pytest.raises(ConfigErrors, match="is no URL"):
        settings_of(None, {"webhook": "example.org"}, {})
    with pytest.raises(ConfigErrors, match="is no URL"):
        settings_of(None, {"link": "javascript:alert(1)"}, {})


# ---- webhook


@pytest_twisted.ensureDeferred
async def test_each_run_is_told_once(store: Store, receive: Any) -> None:
    url, receiver = receive()
    old = ended(store, name="before anybody observed")
    await deferLater(reactor, 0.01)
    panel = FakePanel(store, webhook=url, link="https://rascal.example.org/")
    made = watched(panel)
    job = {"id": "3", "name": "checkout", "commit": "a" * 40}
    run = ended(store, status=1, about={}, job=job)
    panel.hub.publish("run", {"id": run, "state": "ended"})
    try:
        await until(settled(made, "webhook", 1))
        panel.hub.publish("run", {"last": []})
        panel.hub.publish("run", {"last": []})
        await deferLater(reactor, 0.1)
        await until(settled(made, "webhook", 1))
        assert [one["run"]["id"] for one in receiver.got] == [run] != [old]
        (told,) = receiver.got
        assert told["event"] == "run.ended"
        assert told["link"] == f"https://rascal.example.org/runs/{run}"
        assert told["sentence"] == f"checkout #{run}: Objective missed"
        assert told["run"]["outcome"] == "completed"
        assert (told["run"]["status"], told["run"]["labels"]) == (1, ["nightly"])
        assert told["job"] == job
        assert receiver.headers[0]["x-rascal-delivery"] == told["id"]
        assert receiver.headers[0]["content-type"] == "application/json"
        (shown,) = made.shown()
        assert shown["last"] | {"at": 0} == {"at": 0, "ok": True, "why": "", "run": run}
        assert "secret" not in json.dumps(shown)
        assert panel.audited == []
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_what_ended_meanwhile_is_told_by_the_next_panel(store: Store, receive: Any) -> None:
    url, receiver = receive()
    panel = FakePanel(store, webhook=url)
    made = watched(panel)
    first = ended(store)
    panel.hub.publish("run", {"last": []})
    await until(settled(made, "webhook", 1))
    panel.close()
    second, third = ended(store), ended(store)
    for _ in range(2):
        panel = FakePanel(store, webhook=url)
        made = watched(panel)
        try:
            await until(settled(made, "webhook", 3))
            await deferLater(reactor, 0.05)
        finally:
            panel.close()
    assert [one["run"]["id"] for one in receiver.got] == [first, second, third]
    assert os.stat(made.path).st_mode & 0o077 == 0


@pytest_twisted.ensureDeferred
async def test_a_failure_is_tried_again_and_given_up(store: Store, receive: Any) -> None:
    url, receiver = receive(500, 503, 200, 500, 500, 500, 500, 404, 302)
    panel = FakePanel(store, webhook=url)
    made = watched(panel)
    try:
        for count, (tries, why) in enumerate(
            [(3, ""), (4, "it answered 500"), (1, "it answered 404"), (1, "it answered 302")], 1
        ):
            run, before = ended(store), len(receiver.got)
            panel.hub.publish("run", {"last": []})
            await until(settled(made, "webhook", count))
            assert len(receiver.got) - before == tries
            assert made.shown()[0]["last"]["why"] == why
            if why:
                assert panel.audited[-1]["what"] == f"was not told of run {run}: {why}"
        assert len(panel.audited) == 3
        # The same delivery has the same name each time.
        ids = [one["x-rascal-delivery"] for one in receiver.headers]
        assert len(set(ids)) == 4
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_one_that_fails_holds_up_nobody(
    store: Store, receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "BACKOFF", (60.0,))
    url, receiver = receive(500)
    panel = FakePanel(store, webhook=url)
    made = watched(panel)
    first, second = ended(store), ended(store)
    panel.hub.publish("run", {"last": []})
    try:
        await until(lambda: len(made.kept["webhook"]["told"]) == 1 and not made._busy)
        assert [one["run"]["id"] for one in receiver.got] == [first, second]
        assert made.shown()[0]["busy"] is True
    finally:
        panel.close()
    # The next panel tells the first again, and the second no more.
    panel = FakePanel(store, webhook=url)
    made = watched(panel)
    try:
        await until(settled(made, "webhook", 2))
        assert [one["run"]["id"] for one in receiver.got] == [first, second, first]
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"event": "try", "id": "1"}
    with pytest.raises(Refused, match="refused"):
        await Webhook("http://127.0.0.1:1/", reactor).deliver(told)
    monkeypatch.setattr(deliveries, "SECONDS", 0.2)
    from twisted.internet.protocol import Factory, Protocol

    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    try:
        address = f"http://127.0.0.1:{port.getHost().port}/"
        with pytest.raises(Refused, match=r"no answer within 0\.2 s") as caught:
            await Webhook(address, reactor).deliver(told)
        assert not caught.value.final
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_lost_run_is_told_too(store: Store, receive: Any) -> None:
    url, receiver = receive()
    panel = FakePanel(store, webhook=url)
    made = watched(panel)
    run = store.create(PLAN, {}, name="checkout", pid=999_999_999)
    with store.database.writing() as write:
        write.execute("UPDATE runs SET beat = ? WHERE id = ?", (time.time() - 300, run))
    made.kept["webhook"]["since"] = time.time() - 1000
    panel.hub.publish("run", {"last": []})
    try:
        await until(settled(made, "webhook", 1))
        assert (
            receiver.got[0]["sentence"] == f"checkout #{run}: its process has gone without a word"
        )
        assert receiver.got[0]["run"]["state"] == "lost"
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_a_try_tells_of_no_run(store: Store, receive: Any) -> None:
    url, receiver = receive(204, 500)
    panel = FakePanel(store, webhook=url)
    made = watched(panel)
    try:
        assert (await made.attempt("webhook", "ann"))["ok"] is True
        assert receiver.got[0]["event"] == "try"
        assert "ann" in receiver.got[0]["sentence"]
        found = await made.attempt("webhook", "ann")
        assert (found["ok"], found["why"]) == (False, "it answered 500")
        assert made.kept["webhook"]["told"] == {}
        with pytest.raises(Exception, match="there is no observer 'mail': webhook"):
            await made.attempt("mail", "ann")
    finally:
        panel.close()


# ---- mail


class Mailbox:
    """A real SMTP server's side."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.answers: list[str] = []

    async def handle_DATA(  # noqa: N802
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.got.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[str, Mailbox]]:
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        yield f"smtp://127.0.0.1:{server.port}/?from=rascal@example.org&to=ann@b.org,bob@c.org", box
    finally:
        server.stop()


@pytest_twisted.ensureDeferred
async def test_a_mail_says_the_verdict_in_its_subject(
    store: Store, mailbox: tuple[str, Mailbox]
) -> None:
    url, box = mailbox
    box.answers = ["451 later"]
    panel = FakePanel(store, mail=url)
    made = watched(panel)
    run = ended(store, kind="experiment")
    store.put(run, "verdict", {"word": "stuck", "sentence": "It did not come back.", "status": 1})
    panel.hub.publish("run", {"last": []})
    try:
        await until(settled(made, "mail", 1))
        (sender, to, content) = box.got[0]
        assert (sender, to) == ("rascal@example.org", ["ann@b.org", "bob@c.org"])
        mail = message_from_bytes(content, policy=policy.default)
        assert mail["subject"] == f"checkout #{run}: Stuck: It did not come back."
        assert mail["auto-submitted"] == "auto-generated"
        text = mail.get_content()
        assert f"http://127.0.0.1:8480/runs/{run}" in text
        assert "Target: http://127.0.0.1:8080" in text
        assert made.shown()[0]["what"].startswith("ann@b.org, bob@c.org through 127.0.0.1:")
        assert made.kept["mail"]["told"].popitem()[1]["tries"] == 2
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_hostile_names_are_text_in_mails(store: Store, mailbox: tuple[str, Mailbox]) -> None:
    url, box = mailbox
    panel = FakePanel(store, mail=url)
    made = watched(panel)
    run = ended(store, kind="experiment")
    store.put(run, "verdict", {"word": "stuck", "sentence": BAD, "status": 1})
    panel.hub.publish("run", {"last": []})
    try:
        await until(settled(made, "mail", 1))
        mail = message_from_bytes(box.got[0][2], policy=policy.default)
        assert mail["bcc"] is None
        assert mail["subject"].startswith(f"checkout #{run}: Stuck Bcc: x@y <b>")
        assert box.got[0][1] == ["ann@b.org", "bob@c.org"]
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_mail_that_is_refused_for_good(store: Store, mailbox: tuple[str, Mailbox]) -> None:
    url, box = mailbox
    box.answers = ["554 no"] * 9
    panel = FakePanel(store, mail=url)
    made = watched(panel)
    ended(store)
    panel.hub.publish("run", {"last": []})
    try:
        await until(settled(made, "mail", 1))
        entry = made.kept["mail"]["told"].popitem()[1]
        assert (entry["ok"], entry["tries"]) == (False, 1)
        assert entry["why"] == "the server said 554 no"
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_a_password_is_not_sent_where_it_cannot_be_taken(
    store: Store, mailbox: tuple[str, Mailbox]
) -> None:
    url, _ = mailbox
    panel = FakePanel(store, mail=url.replace("smtp://", "smtp://ann:secret@"))
    made = watched(panel)
    try:
        found = await made.attempt("mail", "ann")
        assert found["ok"] is False
        assert "secret" not in found["why"]
        assert "secret" not in json.dumps(made.shown())
    finally:
        panel.close()


# ---- command


@pytest_twisted.ensureDeferred
async def test_a_command_gets_it_in_its_environment_and_on_its_input(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RASCAL_TOKEN", "a secret of the panel")
    out = tmp_path / "out"
    panel = FakePanel(store, command=f'env > {out}.env; cat > {out}.json; printf %s "$$" > {out}')
    made = watched(panel)
    run = ended(store, kind="experiment", name='$(touch x) `touch x`; "')
    store.put(run, "verdict", {"word": "stuck", "sentence": BAD, "status": 1})
    panel.hub.publish("run", {"last": []})
    try:
        await until(settled(made, "command", 1))
        lines = (tmp_path / "out.env").read_text()
        assert f"RASCAL_RUN={run}\n" in lines
        assert "RASCAL_WORD=stuck\n" in lines
        assert 'RASCAL_NAME=$(touch x) `touch x`; "\n' in lines
        assert "secret" not in lines
        told = json.loads((tmp_path / "out.json").read_text())
        assert told["verdict"]["sentence"] == BAD
        assert int(out.read_text()) != os.getpid()
        assert made.shown()[0]["what"] == "env"
        assert made.shown()[0]["last"]["ok"] is True
    finally:
        panel.close()


@pytest_twisted.ensureDeferred
async def test_a_command_that_fails_or_hangs(store: Store, tmp_path: Path) -> None:
    panel = FakePanel(store, command="echo first; echo 'no such room' >&2; exit 3")
    made = watched(panel)
    try:
        found = await made.attempt("command", "ann")
        assert found["why"] == "it ended with status 3: no such room"
        hangs = deliveries.Command(
            f"sleep 600 & echo $! > {tmp_path}/pid; wait", made.channels["command"]._helpers, 0.5
        )  # type: ignore[attr-defined]
        with pytest.raises(Refused, match=r"not done after 0\.5 s, and was ended"):
            await hangs.deliver(made_up())
        child = int((tmp_path / "pid").read_text())
        await until(lambda: not _lives(child))
    finally:
        panel.close()


def made_up() -> dict[str, Any]:
    return {
        "event": "try", "id": "x", "run": {}, "verdict": {"word": "", "sentence": ""},
        "sentence": "x", "link": "x",
    }  # fmt: skip


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# ---- with a panel of its own


@pytest.mark.integration
def test_a_panel_tells_of_its_runs(tmp_path: Path) -> None:
    out = tmp_path / "told"
    (tmp_path / "shop.py").write_text(SCENARIO)
    (tmp_path / "panel.ini").write_text(
        f'[panel]\ncommand = printf \'%s %s\\n\' "$RASCAL_RUN" "$RASCAL_OUTCOME" >> {out}\n'
    )
    panel = PanelProcess(tmp_path, config=str(tmp_path / "panel.ini"))
    load = {"file": "shop.py", "rate": "20/s", "for": "1s"}
    try:
        with target() as url:
            panel.start()
            first = panel.started({"load": {**load, "target": url}})
            panel.until_ended(first)
            _wait_for(out, 1)
            second = panel.started({"load": {**load, "target": url, "for": "3s"}})
            panel.kill()
            with Store(panel.store, readonly=True) as store:
                ends = time.monotonic() + 30
                while store.run(second).state != "ended":
                    assert time.monotonic() < ends
                    time.sleep(0.1)
            assert len(out.read_text().splitlines()) == 1
            panel.start()
            _wait_for(out, 2)
            panel.stop()
            panel.start()
            shown = panel.call("GET", "/api/v1/observers")[1]["observers"]["command"]
            assert (shown["what"], shown["last"]["run"]) == ("printf", second)
            time.sleep(1.5)
            wanted = [f"{first} completed", f"{second} completed"]
            assert out.read_text().splitlines() == wanted
            assert panel.call("POST", "/api/v1/observers/command/try")[1]["ok"] is True
    finally:
        panel.stop()


def _wait_for(path: Path, lines: int) -> None:
    ends = time.monotonic() + 30
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < ends, "nobody was told"
        time.sleep(0.05)
