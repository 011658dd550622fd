"""Match conditions as a function: compiled once, asked for every exchange.

    Conditions ─compile_match─► Matcher.matches(x)          x.value("command") gives a value

A value is a str, bytes, int, bool, a tuple of such (several keys: any of them will do) or None
(the exchange has none: the condition is false, and `not` of it true). The field's type says how
values compare: words and DNS names without regard to case, as fields that say `folded`; keys and
paths exactly; numbers and sizes in ranges; addresses by network. Patterns see at most the first
64 KiB of a value and run on google-re2, whose time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from rascal.errors import ConfigError
from rascal.language import FLAGS, Condition, Range, compile_pattern, parse, plain
from rascal.wire.types import Field, WireProtocol

PATTERN_BYTES = 65536
"""So much of a value is searched with a pattern."""

REMEMBERED = 512
"""Texts up to this length are searched once: statements and paths come again and again, and a
search costs ten times as much as remembering its outcome."""

COMMAND = "command"
"""The field whose values say which commands a match names."""

Test = Callable[[Any], bool]
"""Whether one value, never None and never a tuple, will do."""


class Matcher:
    """Which exchanges a fault is about.

    Attributes:
        matches: x -> whether every condition is true of it.
        reply: some condition is about the reply: ask when its head is there.
        commands: the commands that it can only match, in upper case; None: any.
        fields: the match fields that it asks for.
        words: one of these, in upper case, stands in the bytes of every request that it matches,
            in either case; None: nothing is known.
    """

    __slots__ = ("commands", "fields", "matches", "reply", "words")

    def __init__(
        self,
        matches: Callable[[Any], bool],
        *,
        reply: bool = False,
        commands: frozenset[str] | None = None,
        fields: tuple[str, ...] = (),
        words: frozenset[bytes] | None = None,
    ) -> None:
        self.matches = matches
        self.reply = reply
        self.commands = commands
        self.fields = fields
        self.words = words

    def names(self, command: str) -> bool:
        """Whether the match names this command: CONNECT, LOGIN, AUTH … are asked only then."""
        return self.commands is not None and command.upper() in self.commands

    def only(self, command: str) -> Matcher:
        """The same match, of one command only."""
        matches = self.matches
        return Matcher(
            lambda x: str(x.value(COMMAND)).upper() == command and matches(x),
            reply=self.reply,
            commands=frozenset((command,)),
            fields=(*self.fields, COMMAND),
            words=self.words,
        )


def _always(x: Any) -> bool:
    return True


ALWAYS = Matcher(_always)
"""Matches everything."""


def any_of(matchers: Iterable[Matcher]) -> Matcher:
    """A matcher that is true where one of them is."""
    every = tuple(matchers)
    if any(one.matches is _always for one in every):
        return Matcher(_always, reply=any(one.reply for one in every))
    tests = tuple(one.matches for one in every)
    if len(set(tests)) == 1:
        return every[0]
    named = [one.commands for one in every]
    commands: frozenset[str] | None = frozenset().union(*(names or () for names in named))
    return Matcher(
        lambda x: any(test(x) for test in tests),
        reply=any(one.reply for one in every),
        commands=None if None in named else commands,
        fields=tuple(dict.fromkeys(name for one in every for name in one.fields)),
        words=_union(one.words for one in every),
    )


def compile_match(conditions: Iterable[Condition], protocol: WireProtocol) -> Matcher:
    """The function for a match that was read with this protocol's fields.

    Raises ConfigError for a field that the protocol does not have.
    """
    conditions = tuple(conditions)
    if not conditions:
        return ALWAYS
    tests: list[Callable[[Any], bool]] = []
    reply = False
    commands: frozenset[str] | None = None
    for condition in conditions:
        field = field_of(condition.field, protocol)
        reply = reply or field.side == "reply"
        tests.append(
            _on_exchange(condition.field, _value_test(condition, field), condition.negated)
        )
        if condition.field == COMMAND and condition.op == "=" and not condition.negated:
            named = frozenset(str(value).upper() for value in condition.values)
            commands = named if commands is None else commands & named
    return Matcher(
        _all(tests),
        reply=reply,
        commands=commands,
        fields=tuple(dict.fromkeys(condition.field for condition in conditions)),
        words=_verbatim(conditions, protocol),
    )


def _union(sets: Iterable[frozenset[bytes] | None]) -> frozenset[bytes] | None:
    found: set[bytes] = set()
    for one in sets:
        if one is None:
            return None
        found |= one
    return frozenset(found)


def _verbatim(conditions: Iterable[Condition], protocol: WireProtocol) -> frozenset[bytes] | None:
    """The words of the condition that is the rarest to be found in other requests: the longest."""
    best: frozenset[bytes] | None = None
    for condition in conditions:
        if condition.negated or condition.op not in ("=", "^="):
            continue
        values = [value for value in condition.values if isinstance(value, str) and value.isascii()]
        if condition.field not in protocol.verbatim or len(values) < len(condition.values):
            continue
        words = frozenset(value.upper().encode() for value in values)
        if b"" not in words and (best is None or min(map(len, words)) > min(map(len, best))):
            best = words
    return best


def field_of(name: str, protocol: WireProtocol) -> Field:
    """The protocol's field `name`; header.X-Tenant is its field header.NAME."""
    for field in protocol.fields:
        prefix, wildcard, _ = field.name.partition("NAME")
        if field.name == name or (wildcard and name.startswith(prefix) and name != prefix):
            return field
    raise ConfigError(f"{protocol.name} has no match field '{name}'", option="match")


def _all(tests: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda x: first(x) and second(x)
    every = tuple(tests)
    return lambda x: all(test(x) for test in every)


def _on_exchange(name: str, test: Test, negated: bool) -> Callable[[Any], bool]:
    """From values to exchanges: missing values, several values, `not`."""

    def matches(x: Any) -> bool:
        value = x.value(name)
        if value is None:
            return negated
        if type(value) is tuple:
            return any(test(one) for one in value if one is not None) is not negated
        return test(value) is not negated

    return matches


# ---- tests of one value


def _value_test(condition: Condition, field: Field) -> Test:
    folded = field.folded or field.type in ("word", "name")
    if condition.op == "~":
        return _pattern(str(condition.values[0]), folded)
    if field.type in ("number", "size"):
        return _ordered(condition, field.type)
    if field.type == "flag":
        return _flag({FLAGS[str(value)] for value in condition.values})
    if field.type == "address":
        return _address(tuple(str(value) for value in condition.values))
    words = tuple(str(value) for value in condition.values)
    if condition.op == "^=":
        return _prefix(words, folded)
    return _equal(words, folded)


def text_of(value: Any) -> str:
    """A value as text: bytes as UTF-8 where they are, numbers and flags as they are written."""
    if type(value) is str:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _equal(words: tuple[str, ...], folded: bool) -> Test:
    if folded:
        lowered = frozenset(word.lower() for word in words)
        return lambda value: text_of(value).lower() in lowered
    if len(words) == 1:
        word = words[0]
        return lambda value: text_of(value) == word
    exact = frozenset(words)
    return lambda value: text_of(value) in exact


def _prefix(words: tuple[str, ...], folded: bool) -> Test:
    if folded:
        lowered = tuple(word.lower() for word in words)
        return lambda value: text_of(value).lower().startswith(lowered)
    return lambda value: text_of(value).startswith(words)


def _pattern(pattern: str, folded: bool) -> Test:
    search = compile_pattern(pattern, folded).search

    def found(text: str) -> bool:
        if text.isascii():
            return search(text) is not None
        # What is not text becomes one character each, so that "." matches it.
        return search(text.encode("utf-8", "replace")[:PATTERN_BYTES]) is not None

    remembered = lru_cache(maxsize=1024)(found)

    def test(value: Any) -> bool:
        if type(value) is bytes:
            value = value[:PATTERN_BYTES]
        text = text_of(value)
        if len(text) <= REMEMBERED:
            return remembered(text)
        return found(text[:PATTERN_BYTES])

    return test


def _ordered(condition: Condition, type_: str) -> Test:
    """Numbers and sizes: `500..599,429`, `>=1MB`."""

    def number(word: str) -> int:
        return int(plain(parse("size", word))) if type_ == "size" else int(word)

    ranges: list[tuple[float, float]] = []
    for value in condition.values:
        if isinstance(value, Range):
            low = number(value.low) if value.low else float("-inf")
            high = number(value.high) if value.high else float("inf")
            ranges.append((low, high))
        else:
            one = number(value)
            ranges.append(_HALVES.get(condition.op, lambda n: (n, n))(one))
    if len(ranges) == 1:
        low, high = ranges[0]

        def within(value: Any) -> bool:
            known = _number_of(value)
            return known is not None and low <= known <= high

        return within

    def among(value: Any) -> bool:
        known = _number_of(value)
        return known is not None and any(low <= known <= high for low, high in ranges)

    return among


_HALVES: dict[str, Callable[[int], tuple[float, float]]] = {
    ">": lambda n: (n + 1, float("inf")),
    ">=": lambda n: (n, float("inf")),
    "<": lambda n: (float("-inf"), n - 1),
    "<=": lambda n: (float("-inf"), n),
}


def _number_of(value: Any) -> int | None:
    if type(value) is int:
        return value
    text = text_of(value)
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None


def _flag(wanted: set[bool]) -> Test:
    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return value in wanted
        return FLAGS.get(text_of(value).lower()) in wanted

    return test


def _address(words: tuple[str, ...]) -> Test:
    networks = tuple(ip_network(word, strict=False) for word in words)

    @lru_cache(maxsize=4096)
    def known(text: str) -> bool:
        host = text[1:].partition("]")[0] if text.startswith("[") else text
        if host.count(":") == 1:
            host = host.partition(":")[0]
        try:
            address = ip_address(host)
        except ValueError:  # a UNIX socket
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in networks)

    return lambda value: known(text_of(value))
