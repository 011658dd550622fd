"""What clients see of a fault: a rascal-proxy in a child, and the tables of docs/seen.

    with running(tmp_path, INI) as node:                    # proxies.ini as text
        with node.fault("cache", "error(loading) match command=GET") as fault:  # fires once
            sight = look(client.get, "a")
        sight.raised(redis.BusyLoadingError, "loading the dataset")
        seen("loading", fault.text, sight, usable(client))  # a row, by the fixture `seen`

Mostly one writes Cases and lets `check` do all this; test_redis_seen.py is the model. A row says
what was done, what the client saw and whether its connection still works afterwards: `yes` (the
very same connection), `anew` (a new one does) or `no`. Rows of tests that pass are printed at the
end of the run, with times, and kept without them in docs/seen/PROTOCOL.json (conftest.py).
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rascal.control.client import Client, Refused
from rascal.demo.children import Child, Children, free_port
from rascal.demo.node import twistd

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "seen"
BAD = re.compile(r"Traceback|Unhandled|\bfailed\b", re.IGNORECASE)
"""What the service's log may never hold."""


# ---- the service ---------------------------------------------------------------------------------


class Armed:
    """One installed fault, script, roulette or recipe."""

    def __init__(self, node: Node, proxy: str, name: str, collection: Any) -> None:
        self.node = node
        self.proxy = proxy
        self.name = name
        self.collection = collection
        self.last: dict[str, Any] | None = None
        self.text = str(self.state["text"])

    @property
    def state(self) -> dict[str, Any]:
        """As the API shows it now, or showed it when it was removed."""
        return self.last or self.node.control.get(self.proxy, self.name, self.collection)

    @property
    def fired(self) -> int:
        return int(self.state["fired"])

    @property
    def skipped(self) -> dict[str, int]:
        return dict(self.state["skipped"])

    def wait(self, **wanted: int) -> None:
        """Until these counters have at least these values: `waiting=1`."""

        def there() -> bool:
            state = self.state
            return all(state[name] >= value for name, value in wanted.items())

        try:
            self.node.control.wait_until(there)
        except TimeoutError:
            pytest.fail(f"{self.name} never had {wanted}: {self.state}")

    def remove(self) -> dict[str, Any]:
        """Take it away; its last counters."""
        if self.last is None:
            self.last = self.node.control.remove(self.proxy, self.name, collection=self.collection)
        return self.last

    def adds_up(self) -> dict[str, Any]:
        """Its counters; they must add up."""
        state = self.state
        told = state["fired"] + state["reserved"] + sum(state["skipped"].values())
        assert state["matched"] == told, state
        return state


class Node:
    """A running rascal-proxy."""

    def __init__(self, child: Child, control: Client, file: Path) -> None:
        self.child = child
        self.control = control
        self.file = file

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def log(self) -> str:
        return self.child.text

    def address(self, proxy: str) -> str:
        """Where a proxy listens first: `127.0.0.1:41234`, `unix:/path`."""
        return str(self.control.proxy(proxy)["addresses"][0])

    def port(self, proxy: str) -> int:
        return int(self.address(proxy).rpartition(":")[2])

    @contextlib.contextmanager
    def fault(
        self, proxy: str, sentence: Any, *, fired: int | None = 1, **clauses: Any
    ) -> Iterator[Armed]:
        """Arm it for the block. At its end the books must add up and `fired` be as it is said
        here (None: any number from 1)."""
        made = self.control.add(proxy, sentence, **clauses)
        armed = Armed(self, proxy, made["name"], "faults")
        with self._proved(armed, fired):
            yield armed

    @contextlib.contextmanager
    def script(
        self, proxy: str, steps: str, match: str | None = None, fired: int | None = None
    ) -> Iterator[Armed]:
        """The same with a script; every step must have been used."""
        made = self.control.add_script(proxy, steps, match)
        armed = Armed(self, proxy, made["name"], "scripts")
        with self._proved(armed, fired):
            yield armed
            state = armed.state
            assert not state["unused"], state
            assert not state["void"], state

    @contextlib.contextmanager
    def recipe(self, proxy: str, sentence: str, fired: int | None = None) -> Iterator[Armed]:
        """The same with a recipe: `cold-cache strength=50%`."""
        made = self.control.add_recipe(proxy, sentence)
        armed = Armed(self, proxy, made["name"], "recipes")
        with self._proved(armed, fired):
            yield armed

    @contextlib.contextmanager
    def _proved(self, armed: Armed, fired: int | None) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(Refused):
                armed.remove()
            raise
        armed.remove()
        state = armed.adds_up()
        assert state["fired"] == fired if fired is not None else state["fired"] > 0, state
        assert state["reserved"] == 0, state

    def clear(self) -> None:
        """Nothing is installed any more, no counter has counted."""
        self.control.panic(True, "the test")
        self.control.panic(False)
        self.control.reset_counters()

    def empty(self, proxy: str) -> None:
        """End what is still connected, and wait until nothing is."""

        def nobody() -> bool:
            left = self.control.connections(proxy)
            for number in left:
                with contextlib.suppress(Refused):  # it has gone by itself
                    self.control.end_connection(proxy, number)
            return not left

        self.control.wait_until(nobody)

    def hup(self) -> None:
        """Let it read its file again."""
        self.child.process.send_signal(signal.SIGHUP)

    def check_log(self) -> None:
        """Nothing went wrong in there."""
        wrong = [line for line in self.log.splitlines() if BAD.search(line)]
        assert not wrong, "\n".join(wrong) + "\n--- the whole log:\n" + self.log


def command(file: Path) -> list[str]:
    """What starts the service with this file."""
    return [*twistd(), "-n", "--pidfile=", "rascal-proxy", "--config", str(file)]


def written(folder: Path, ini: str, *, seed: int = 1) -> tuple[Path, str]:
    """proxies.ini with this text, and the URL of its control API. `[rascal]` is added, unless it
    is there; `{free}` is a free port, another one each time."""
    folder.mkdir(parents=True, exist_ok=True)
    while "{free}" in ini:
        ini = ini.replace("{free}", str(free_port()), 1)
    if "[rascal]" not in ini:
        ini = f"[rascal]\ncontrol = 127.0.0.1:{free_port()}\nseed = {seed}\n\n{ini}"
    found = re.search(r"^control = (.+)$", ini, re.MULTILINE)
    url = "http://127.0.0.1:8474"
    if found:
        url = found[1] if found[1].startswith("unix:") else f"http://{found[1]}"
    file = folder / "proxies.ini"
    file.write_text(ini, encoding="utf-8")
    return file, url


@contextlib.contextmanager
def running(folder: Path, ini: str, *, seed: int = 1) -> Iterator[Node]:
    """rascal-proxy with this proxies.ini (see `written`). Its log is checked at the end."""
    file, url = written(folder, ini, seed=seed)
    with Children(folder) as children, Client(url) as client:
        child = children.start(
            "rascal-proxy",
            command(file),
            ready=client.healthy,
            environment={"PYTHONPATH": str(ROOT)},
        )
        node = Node(child, client, file)
        yield node
        assert child.process.poll() is None, node.log
        node.check_log()


# ---- what a client sees --------------------------------------------------------------------------


@dataclass
class Sight:
    """What came of one call."""

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0

    def raised(self, kind: type[BaseException] | str, text: str = "") -> None:
        """It raised exactly this class (its name is enough), and says so (a pattern)."""
        assert self.error is not None, f"nothing was raised, got {self.value!r}"
        exact = kind if isinstance(kind, str) else kind.__name__
        assert type(self.error).__name__ == exact, f"{exact} expected, not {self.error!r}"
        assert re.search(text, str(self.error)), f"{text!r} expected in {str(self.error)!r}"

    def got(self, value: Any) -> None:
        """It returned this."""
        if self.error is not None:
            raise AssertionError(f"{value!r} expected, not {self.error!r}") from self.error
        assert self.value == value

    @property
    def text(self) -> str:
        """For the table."""
        if self.error is not None:
            said = f"{type(self.error).__name__}: {self.error}".rstrip(": ")
            if "Connection reset by peer" in said:  # while connecting or reading, as it comes
                said = f"{type(self.error).__name__}: Connection reset by peer"
        elif isinstance(self.value, (bytes, str)) and len(self.value) > 60:
            unit = "bytes" if isinstance(self.value, bytes) else "characters"
            said = f"returned {len(self.value)} {unit}"
        else:
            said = f"returned {self.value!r}"
        return cleaned(said)


def look(call: Callable[..., Any], *args: Any, **options: Any) -> Sight:
    """Call it and note what comes of it."""
    began = time.monotonic()
    try:
        value = call(*args, **options)
    except (Exception, pytest.fail.Exception) as error:
        if isinstance(error, (AssertionError, pytest.fail.Exception)):
            raise
        return Sight(error=error, seconds=time.monotonic() - began)
    return Sight(value=value, seconds=time.monotonic() - began)


def cleaned(text: str) -> str:
    """Without what is another each time: ports, places in memory, folders of tests."""
    hosts, between = r"127\.0\.0\.1|localhost|\[?::1\]?", r":|', port=|', |, port=|, |@"
    text = re.sub(rf"({hosts})({between})\d{{2,5}}", r"\1\2PORT", text)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    text = re.sub(r"after \d+\.\d+ seconds", "after … seconds", text)
    text = re.sub(r"/tmp/[^\s'\"]*/", "…/", text)
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"


def identity(connection: Any) -> Any:
    """What tells the connection that a client has from another; None: it cannot be told."""
    if hasattr(connection, "client_id"):  # redis
        return connection.client_id()
    if hasattr(connection, "thread_id"):  # PyMySQL
        return connection.thread_id()
    sock = getattr(connection, "sock", connection)  # pymemcache
    return sock.getsockname() if hasattr(sock, "getsockname") else None


def works(connection: Any) -> None:
    """One harmless exchange on it, which raises if it does not work. A callable is called."""
    if hasattr(connection, "thread_id"):
        connection.ping(reconnect=False)
    elif hasattr(connection, "ping"):
        assert connection.ping()
    elif hasattr(connection, "version"):
        assert connection.version()
    else:
        assert connection()


def usable(connection: Any, before: Any = None) -> str:
    """`yes`: it works; `anew`: it does, but `before`, its identity, has changed; `no`.

    Clients that connect again by themselves do so on the second try at the latest.
    """
    for _ in range(2):
        try:
            works(connection)
            now = identity(connection) if before is not None else None
        except Exception:
            continue
        return "yes" if now == before else "anew"
    return "no"


# ---- tables --------------------------------------------------------------------------------------

Seen = Callable[..., None]
"""The fixture `seen`: keeps a row; see `keep`."""


def keep(
    properties: list[tuple[str, object]],
    protocol: str,
    client: str,
    name: str,
    sentence: str,
    saw: Sight | str,
    after: str,
) -> None:
    """Keep one row with the test's report, from where conftest.py collects it."""
    row = {
        "protocol": protocol,
        "client": client,
        "name": name,
        "sentence": cleaned(sentence),
        "saw": saw.text if isinstance(saw, Sight) else cleaned(saw),
        "usable": after,
        "seconds": round(saw.seconds, 3) if isinstance(saw, Sight) else 0,
    }
    properties.append(("seen", json.dumps(row)))


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes:
        name: the kind, or the catalogue's error.
        sentence: the fault.
        does: what the client does: called with the client.
        sees: the class that is raised, or what is returned; a callable that is no class is asked
            about the Sight and asserts for itself.
        text: a pattern that the exception's text must hold.
        after: `yes` or `anew`, see `usable`.
        fired: how often it strikes; None: at least once.
        proves: called with the client when the fault is gone: what the upstream has, and so on.
        before: called with the client before the fault is armed.
        took: bounds of the time in seconds.
    """

    name: str
    sentence: str
    does: Callable[[Any], Any]
    sees: Any
    text: str = ""
    after: str = "yes"
    fired: int | None = 1
    proves: Callable[[Any], Any] | None = None
    before: Callable[[Any], Any] | None = None
    took: tuple[float, float] = (0.0, 5.0)
    clauses: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}-{re.sub(r'[^a-z0-9_]+', '-', self.sentence.lower())[:60]}".strip("-")


def check(case: Case, node: Node, proxy: str, client: Any, keep_row: Callable[..., None]) -> None:
    """Do what the case says and keep its row."""
    works(client)
    if case.before is not None:
        case.before(client)
    before = identity(client)
    with node.fault(proxy, case.sentence, fired=case.fired, **case.clauses):
        sight = look(case.does, client)
        judge(case, sight)
    after = usable(client, before)
    if case.proves is not None:
        case.proves(client)
    assert after == case.after, f"usable: {after}, expected {case.after}"
    keep_row(case.name, case.sentence, sight, after)


def judge(case: Case, sight: Sight) -> None:
    """Whether the client saw what the case says."""
    if isinstance(case.sees, type) and issubclass(case.sees, BaseException):
        sight.raised(case.sees, case.text)
    elif callable(case.sees):
        if sight.error is not None:
            raise AssertionError(f"not expected: {sight.error!r}") from sight.error
        case.sees(sight)
    else:
        sight.got(case.sees)
    low, high = case.took
    assert low <= sight.seconds <= high, f"{sight.seconds:.3f} s, expected {low}..{high}"
