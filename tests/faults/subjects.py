"""A toy protocol with every feature that builders look at, and subjects that faults strike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from rascal.faults.build import build_fault, build_roulette, build_script, tables
from rascal.faults.draw import draw, stream_key
from rascal.faults.fault import Fault
from rascal.faults.spec import FaultSpec
from rascal.language import parse
from rascal.options import Option, OptionTable
from rascal.wire.types import (
    COMMON_FIELDS,
    Answer,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    WireProtocol,
)


class Toy(WireProtocol):
    """Speaks first, has rows, errors of all sorts, and fields of every type."""

    name = "toy"
    title = "Toy"
    part = "rows"
    greets = True
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "", folded=True),
        Field("key", "text", ""),
        Field("sql", "text", "", folded=True),
        Field("host", "name", ""),
        Field("size", "size", ""),
        Field("in_transaction", "flag", ""),
        Field("header.NAME", "text", ""),
        Field("status", "number", "", "reply"),
        Field("row", "text", "", "reply"),
    )
    errors: ClassVar[Mapping[str, ErrorSpec]] = {
        spec.name: spec
        for spec in (
            ErrorSpec("deadlock", "1213", "Deadlock found", "", rolls_back=True),
            ErrorSpec("too_many", "1040", "Too many connections", "", moments=("connect",)),
            ErrorSpec("late", "77", "Too late", "", moments=("reply",)),
            ErrorSpec("unwelcome", "78", "Go away", "", moments=("greeting",)),
        )
    }
    error_options = OptionTable(Option("retry_after", "duration", "when to come back"))
    replace_options = OptionTable(Option("value", "text", "the value", required=True))

    def codecs(self, session: Any, ledger: Any) -> Any:
        raise NotImplementedError

    def answer(self, session: Any, head: Head, call: ErrorCall) -> Answer:
        text = call.text or call.spec.text
        return Answer(f"-{call.spec.code} {text} {dict(call.extra)}".encode())

    def terminate(self, session: Any, head: Head, mark: int, call: Any) -> bytes | None:
        return b"."

    def empty(self, session: Any, head: Head) -> bytes | None:
        return b"nil" if head.command == "GET" else None

    def replacement(self, session: Any, head: Head, options: Any) -> bytes | None:
        return str(options.value).encode() if head.command == "GET" else None

    def rerender(self, session: Any, head: Head, kept: bytes) -> bytes | None:
        return b"re:" + kept


class Quiet(Toy):
    """The client speaks first; no errors, no parts, nothing to end a reply with."""

    name = "quiet"
    greets = False
    part = None
    errors: ClassVar[Mapping[str, ErrorSpec]] = {}
    error_options = OptionTable()
    replace_options = OptionTable()
    terminate = WireProtocol.terminate
    empty = WireProtocol.empty
    replacement = WireProtocol.replacement


class Plain(WireProtocol):
    """No messages."""

    name = "plain"
    title = "Plain"
    fields = COMMON_FIELDS[:1]
    messages = False

    def codecs(self, session: Any, ledger: Any) -> Any:
        raise NotImplementedError


TOY, QUIET, PLAIN = Toy(), Quiet(), Plain()


class Words(Head):
    """A head whose identity is its command and key."""

    def __init__(self, command: str, key: str = "k") -> None:
        super().__init__(command)
        self.key = key

    def identity(self) -> Hashable | None:
        return None if self.command == "WRITE" else (self.command, self.key)


class Values:
    """Match fields by name, for matchers alone."""

    def __init__(self, **values: Any) -> None:
        self.values = {name.replace("__", "."): value for name, value in values.items()}

    def value(self, name: str) -> Any:
        return self.values.get(name)


class Connection:
    """As much of a connection as a strike and a kind on connections ask for."""

    def __init__(self, gate: Any = None, client: str = "10.0.0.1", protocol: Any = TOY) -> None:
        self.gate = gate
        self.protocol = protocol
        self.client = client
        self.strikes: set[Any] = set()
        self.struck_by: list[Any] = []
        self.pumped = 0
        self.ended_by = ""
        self.turned_away = False
        self.clock = SimpleNamespace(now=lambda: 0.0)

    @property
    def connection(self) -> Connection:
        return self

    def value(self, name: str) -> Any:
        return self.client if name == "client" else None

    def struck(self, strike: Any) -> None:
        self.struck_by.append(strike)

    def pump(self) -> None:
        self.pumped += 1


class Subject:
    """As much of an exchange."""

    def __init__(
        self,
        command: str = "GET",
        began: float = 0.0,
        connection: Connection | None = None,
        n: int = 1,
        key: str = "k",
    ) -> None:
        self.connection = connection or Connection()
        self.head = Words(command, key)
        self.n = n
        self.began = began
        self.ended: float | None = None
        self.reply_head: Head | None = Head("OK")
        self.strikes: list[Any] = []
        self.finished = False
        self.session = "session"
        self.protocol = TOY

    def value(self, name: str) -> Any:
        if name == "n":
            return self.n
        return self.head.value(name)


def phrase(text: str, protocol: WireProtocol = TOY, type_: str = "fault") -> Any:
    return parse(
        type_, text, kinds=tables(protocol), fields=protocol.fields, protocol=protocol.name
    )


def spec(text: str, protocol: WireProtocol = TOY) -> FaultSpec:
    return build_fault(phrase(text, protocol), protocol)


def script(text: str, match: str = "", protocol: WireProtocol = TOY) -> Any:
    steps = phrase(text, protocol, "script")
    return build_script(steps, phrase(match, protocol, "match") if match else (), protocol, "s")


def roulette(text: str, protocol: WireProtocol = TOY) -> Any:
    return build_roulette(phrase(text, protocol, "roulette"), protocol, "r")


def matcher(text: str, protocol: WireProtocol = TOY) -> Any:
    return spec(f"hang at reply match {text}", protocol).match


def fault(made: Any, seed: int = 1) -> Fault:
    """Installed and armed."""
    found = Fault(made, seed, "proxy", lambda fault: None)
    found.arm()
    return found


def lanes(seed: int = 1, n: int = 0) -> Any:
    """The draw of one match."""
    key = stream_key(seed, "p", "f")
    return lambda lane: draw(key, n, lane)


def act(
    made: FaultSpec, subject: Any = None, moment: Any = None, state: Any = None, n: int = 0
) -> Any:
    """What a fault wants of a subject."""
    at = moment or (made.at or ("connect",))[0]
    if subject is None and made.level != "listener":
        subject = Subject() if made.level == "message" else Connection(protocol=made.protocol)
    return made.kind.act(made.options, subject, at, lanes(n=n), state)
