"""Faults as users write them, drawn at random: every kind of the product on every protocol.

`{…}` in a template is drawn from VALUES or from the protocol's own. What a protocol does not have
is refused by the builder; the test asserts that each template can be built somewhere.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

from rascal.errors import ConfigError
from rascal.faults.build import build_fault, build_roulette, build_script, tables
from rascal.language import parse
from rascal.wire.types import WireProtocol

if TYPE_CHECKING:
    from tests.simulation.protocols import Spoken

MESSAGES = (
    "delay({delay})",
    "delay({delay}) at reply",
    "delay({delay}) at request,reply",
    "delay({delay}, buffer=1MB)",
    "hang",
    "hang at reply",
    "hang at request,reply",
    "error({error})",
    "error({error})",
    "error({error}) at reply",
    "lose_request(then={then})",
    "lose_reply(then={then})",
    "duplicate",
    "truncate({part}={few}, then={then})",
    "truncate({part}={few}, then=end)",
    "truncate({part}={few}, then=error, error={error})",
    "truncate(bytes={bytes}, then={then})",
    "replace({replacement})",
    "replace({replacement}) at request",
    "empty",
    "empty at request",
    "stale({age})",
    "stale({age}) at request",
    "rate_limit({rate})",
    "rate_limit({rate}, mode=error, error={error})",
    "rate_limit({rate}, mode={close})",
    "concurrency({few})",
    "concurrency(1, queue=1, mode={close})",
    "concurrency(1, mode=error, error={error})",
    "concurrency(1, mode={close})",
    "close",
    "close at reply",
    "close(after={bytes}) at during",
    "reset",
    "reset at reply",
    "reset(after={bytes}) at during",
    "stall(after={bytes})",
    "stall(after={bytes}, hold=500ms)",
    "stall({part}={few}, hold=500ms)",
)
CONNECTIONS = (
    "blackhole",
    "blackhole(500ms) direction {way}",
    "blackhole(fin=no) direction {way}",
    "blackhole(500ms, idle=yes, fin=no) direction {way}",
    "corrupt(1%) direction {way}",
    "corrupt(gap=50B)",
    "delay({delay}) per connection direction {way}",
    "delay({delay}) at connect",
    "delay({delay}, fin=no) per connection direction {way}",
    "hang per connection direction {way}",
    "hang at connect",
    "error({error}) at connect",
    "error({error}) at greeting",
    "close per connection",
    "reset at connect",
    "reset(hold=500ms) per connection direction {way}",
    "close(after={bytes}) per connection direction {way}",
    "stall(after={bytes}) per connection direction {way}",
    "stall(after={bytes}, hold=500ms) per connection",
    "idle_kill({age}, then={gone})",
    "max_age({delay}, then={gone})",
    "max_age({delay}, then={gone}, boundary=no)",
    "limit({bytes}, then={close}) direction {way}",
    "limit(0) direction {way}",
    "noop",
    "max_connections({few})",
    "max_connections({few}, then={then})",
    "max_connections(1, error={error})",
    "refuse match client=10.0.0.1,10.0.0.3",
    "slice({bytes}, delay=1ms) direction {way}",
    "slice(20B, vary=10B)",
    "slow_close(500ms) direction {way}",
    "throttle(2KB/s) direction {way}",
    "throttle(50KB/s)",
    "throttle(0) direction {way}",
    "trickle(10ms, size={bytes}) direction {way}",
)
VALUES = {
    "delay": ("10ms", "500ms", "10ms..2s", "exponential(200ms)", "normal(500ms, 200ms)", "3s"),
    "then": ("close", "reset", "hang"),
    "close": ("close", "reset"),
    "gone": ("close", "reset", "silent"),
    "way": ("to_upstream", "to_client", "both"),
    "few": ("1", "2", "5"),
    "bytes": ("1B", "10B", "300B", "2KB"),
    "age": ("100ms", "2s"),
    "rate": ("2/s", "20/s"),
}
MATCHES = {
    "toy": ("key^=k1,k2", "key=k0", "n=3..", "command=NOREPLY", "reply=ROWS", "command=LOGIN"),
    "redis": (
        "key^=k1,k2",
        "command=GET,SET",
        "command=HELLO",
        "n=2..5",
        "reply=BULK,ERROR",
        "in_transaction=yes",
        "command=EXEC",
    ),
    "memcached": ("key^=k1,k2", "command=GET", "command=MG,MS", "hit=yes", "noreply=no", "n=4.."),
    "http": ("path^=/k1,/k2", "method=POST,PUT", "status=200..299", "n=2..", "method=HEAD"),
    "mysql": (
        "statement=SELECT",
        "sql~k1",
        "command=QUERY",
        "command=LOGIN",
        "reply=ROWS",
        "n=3..",
        "statement=UPDATE,INSERT",
    ),
}
REPLACEMENTS = {
    "mysql": "value=7",
    "redis": "text=7",
    "memcached": "text=7",
    "http": 'text="other"',
}
CLAUSES = (
    "every 3",
    "skip 2",
    "count 1",
    "count 3",
    "for 1s",
    "enabled no",
    "on_remove close",
)
refused: dict[str, str] = {}
"""Templates that were refused, with the reason: for the test."""
built: set[str] = set()


def fill(r: random.Random, template: str, protocol: WireProtocol) -> str:
    """A template with its values drawn."""

    def draw(found: re.Match[str]) -> str:
        name = found[1]
        if name == "error":
            errors = sorted(protocol.errors)
            return r.choice(errors) if errors else "none"
        if name == "part":
            return protocol.part or "parts"
        if name == "replacement":
            return REPLACEMENTS.get(protocol.name, "")
        return r.choice(VALUES[name])

    return re.sub(r"{(\w+)}", draw, template)


def sentence(r: random.Random, protocol: WireProtocol, clauses: bool) -> tuple[str, str]:
    """One fault: its template and its text."""
    messages = protocol.messages and r.random() < 0.85
    template = r.choice(MESSAGES if messages else CONNECTIONS)
    text = fill(r, template, protocol).replace("()", "")
    if clauses:
        if r.random() < 0.3:
            text = "30% " + text
        matches = MATCHES.get(protocol.name)
        if messages and matches and r.random() < 0.7:
            text += " match " + r.choice(matches)
        for clause in r.sample(CLAUSES, r.choice((0, 0, 1, 2))):
            text += " " + clause
    return template, text


def read(type_: str, text: str, protocol: WireProtocol) -> Any:
    return parse(
        type_,
        text,
        kinds=tables(protocol),
        fields=protocol.fields,
        protocol=protocol.name,
    )


def single(r: random.Random, name: str, protocol: WireProtocol, clauses: bool) -> Any:
    """The specification of one sentence; those that are refused are drawn anew."""
    while True:
        template, text = sentence(r, protocol, clauses)
        try:
            spec = build_fault(read("fault", text, protocol), protocol, name=name)
        except ConfigError as error:
            refused.setdefault(f"{protocol.name}: {template}", f"{text}: {error}")
            continue
        if spec.level != "listener":
            built.add(template)
            return spec


def specification(r: random.Random, name: str, protocol: WireProtocol, spoken: Spoken) -> Any:
    """A fault, a script or a roulette."""
    k = r.random()
    if not protocol.messages or k < 0.75:
        return single(r, name, protocol, True)
    while True:
        texts = []
        while len(texts) < r.randrange(1, 5):
            text = sentence(r, protocol, False)[1]
            texts.append("pass" if k < 0.88 and r.random() < 0.3 else text)
        match = r.choice(MATCHES[protocol.name])
        try:
            if k < 0.88:
                phrases = read("script", ", ".join(texts), protocol)
                return build_script(phrases, read("match", match, protocol), protocol, name)
            shares = [f"{90 // len(texts)}% {text} match {match}" for text in texts]
            return build_roulette(read("roulette", ", ".join(shares), protocol), protocol, name)
        except ConfigError:
            continue
