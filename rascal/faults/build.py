"""From sentences to specifications: everything that is checked before a fault is installed.

The language has read a sentence against the option tables; what is left depends on the kind, the
protocol and the clauses together: whether the kind strikes the listener, connections or messages
here, at which moments, and whether its match can be known by then.

    level       listener     unconditional refuse, unreachable: about the listening socket
                connection   asked at accept, matches only the client's address
                message      asked once an exchange, at the request's head (or the reply's)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import attrs

from rascal.errors import ConfigError, listed
from rascal.faults.finding import broken, kinds
from rascal.faults.matching import Matcher, any_of, compile_match, field_of
from rascal.faults.spec import FaultSpec, RouletteSpec, ScriptSpec
from rascal.faults.types import Kind, Level
from rascal.language import Condition, Phrase, plain, plain_options, show
from rascal.options import Options, OptionTable
from rascal.wire.types import Moment, WireProtocol

__all__ = [
    "broken",
    "build_fault",
    "build_recipe",
    "build_roulette",
    "build_script",
    "kinds",
    "recipes",
    "tables",
]

MAX_STEPS = 10_000
"""Steps of one script, counts expanded."""

CONDITIONAL = ("match", "probability", "skip", "every", "count")
"""Clauses that choose among connections or exchanges."""

GREETING = "CONNECT"
"""The command of exchange 0, whose reply is the server's greeting."""

_WITH_REPLY: tuple[Moment, ...] = ("reply", "during")


class Vocabulary(dict[str, OptionTable]):
    """The option tables of a protocol's kinds; `get` knows those of other protocols too, so that
    a kind in the wrong place is called that, and not unknown."""

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            return self[name]
        kind = kinds().get(name)
        return default if kind is None else kind.options


def tables(protocol: WireProtocol) -> Mapping[str, OptionTable]:
    """The option tables of the kinds that `protocol` has, by kind."""
    found = ((name, _table(kind, protocol)) for name, kind in kinds().items())
    return Vocabulary((name, table) for name, table in found if table is not None)


def _table(kind: Kind, protocol: WireProtocol) -> OptionTable | None:
    """Its options on this protocol; None: the protocol does not have it."""
    if "tcp" not in protocol.carriers and not kind.datagrams:
        return None
    return kind.table(protocol)


def recipes() -> Mapping[str, OptionTable]:
    """The option tables of the recipes, by name."""
    from rascal.faults.recipes import RECIPES

    return {name: recipe.options for name, recipe in RECIPES.items()}


def build_recipe(phrase: Phrase, protocol: WireProtocol, name: str) -> tuple[FaultSpec, ...]:
    """The faults of `recipe NAME …`, called NAME.PART. Raises ConfigError."""
    from rascal.faults.recipes import sentences

    lasts = _lasts(phrase)
    found = []
    for label, part in sentences(phrase, protocol, tables(protocol)):
        try:
            spec = build_fault(part, protocol, name=f"{name}.{label}")
        except ConfigError as error:
            raise phrase.problem(f"{name}: {error.message}", "recipe") from error
        if lasts is not None:
            spec = attrs.evolve(spec, lasts=min(lasts, spec.lasts or lasts))
        found.append(spec)
    return tuple(found)


def build_fault(phrase: Phrase, protocol: WireProtocol, *, name: str | None = None) -> FaultSpec:
    """The specification of one fault. Raises ConfigError at the option or clause that is wrong."""
    match = compile_match(phrase.clause("match", ()), protocol)
    given = dict(phrase.clauses)
    conditional = next((clause for clause in CONDITIONAL if clause in given), None)
    return _Fault(phrase, protocol, match, conditional).spec(name or _name(phrase))


def build_script(
    phrases: Iterable[Phrase],
    match: Iterable[Condition],
    protocol: WireProtocol,
    name: str,
) -> ScriptSpec:
    """The specification of a script. Raises ConfigError."""
    phrases = tuple(phrases)
    matcher = compile_match(match, protocol)
    level: Level = "message" if protocol.messages else "connection"
    steps: list[FaultSpec | None] = []
    for number, phrase in enumerate(phrases, 1):
        count = phrase.clause("count", 1)
        if len(steps) + count > MAX_STEPS:
            raise phrase.problem(f"a script has at most {MAX_STEPS} steps", "count")
        if phrase.kind == "pass":
            steps += [None] * count
            continue
        step = _Fault(phrase, protocol, matcher, "match").spec(f"{name}.{number}")
        _one_of_many(step, "a step of a script")
        if step.level != level:
            struck = "exchanges" if level == "message" else "connections"
            raise phrase.problem(
                f"the steps of a script strike {struck} on {protocol.name}; "
                f"'{phrase.kind}' strikes {_struck(step.level)} here"
            )
        steps += [attrs.evolve(step, count=None)] * count
    return ScriptSpec(name=name, match=matcher, steps=tuple(steps), text=show(phrases), level=level)


def build_roulette(phrases: Iterable[Phrase], protocol: WireProtocol, name: str) -> RouletteSpec:
    """The specification of a roulette. Raises ConfigError."""
    phrases = tuple(phrases)
    choices: list[FaultSpec] = []
    for number, phrase in enumerate(phrases, 1):
        for clause in ("skip", "every", "count", "for", "enabled", "name"):
            if phrase.clause(clause) is not None:
                raise phrase.problem(
                    f"'{clause}' has no meaning in a roulette: one draw decides for all of it",
                    clause,
                )
        choice = build_fault(phrase, protocol, name=f"{name}.{number}")
        _one_of_many(choice, "a choice of a roulette")
        if choices and choice.level != choices[0].level:
            raise phrase.problem(
                f"the faults of a roulette strike one thing: '{phrase.kind}' strikes "
                f"{_struck(choice.level)}, '{phrases[0].kind}' {_struck(choices[0].level)}"
            )
        if choices and choice.match.reply != choices[0].match.reply:
            raise phrase.problem(
                "the faults of a roulette are drawn together: match fields of the reply in all "
                "of them, or in none",
                "match",
            )
        choices.append(choice)
    return RouletteSpec(
        name=name,
        choices=tuple(choices),
        match=any_of(choice.match for choice in choices),
        text=show(phrases),
        level=choices[0].level,
        only_at_start=any(choice.only_at_start for choice in choices),
    )


def _name(phrase: Phrase) -> str:
    return str(phrase.clause("name") or phrase.kind)


def _struck(level: Level) -> str:
    return {"listener": "the listener", "connection": "connections", "message": "exchanges"}[level]


def _one_of_many(spec: FaultSpec, what: str) -> None:
    """Kinds that watch every exchange that matches cannot take turns with others."""
    if spec.kind.tracks:
        raise spec.phrase.problem(
            f"{spec.kind.name} watches every matching exchange: it cannot be {what}"
        )


def _lasts(phrase: Phrase) -> float | None:
    lasts = phrase.clause("for")
    return None if lasts is None else float(plain(lasts))


class _Fault:
    """One fault while it is checked. `conditional`: the clause that makes it choose, if any."""

    def __init__(
        self, phrase: Phrase, protocol: WireProtocol, match: Matcher, conditional: str | None
    ) -> None:
        self.phrase = phrase
        self.protocol = protocol
        self.match = match
        self.conditional = conditional
        self.kind, table = self._kind()
        self.options: Options = plain_options(table, dict(phrase.options))
        self.written: tuple[Moment, ...] = phrase.clause("at", ())
        self.options.direction = phrase.clause("direction", "both")
        self.options.match = match

    def spec(self, name: str) -> FaultSpec:
        """Check everything and make the specification."""
        phrase = self.phrase
        at = self._moments()
        level = self._level(at)
        if level == "message":
            at = self._known_by(at)
        else:
            self._no_messages(level, at)
        self._direction(level)
        self.options.at = at
        self._check(at)
        if level == "message" and "greeting" in at:
            at, match = ("reply",), self.match.only(GREETING)
        else:
            match = self.match
        probability = phrase.clause("probability")
        return FaultSpec(
            name=name,
            kind=self.kind,
            options=self.options,
            protocol=self.protocol,
            match=match,
            at=at if level == "message" else (),
            level=level,
            direction=self.options.direction,
            probability=1.0 if probability is None else float(plain(probability)),
            skip=phrase.clause("skip", 0),
            every=phrase.clause("every", 1),
            count=phrase.clause("count"),
            lasts=_lasts(phrase),
            enabled=phrase.clause("enabled", True),
            on_remove=phrase.clause("on_remove", "release"),
            only_at_start=self.kind.only_at_start or at == ("connect",),
            phrase=phrase,
            text=show(phrase),
        )

    def fail(self, message: str, name: str = "kind", allowed: Iterable[str] = ()) -> NoReturn:
        raise self.phrase.problem(message, name, allowed=tuple(allowed))

    # ---- one check after the other

    def _kind(self) -> tuple[Kind, OptionTable]:
        name, protocol = self.phrase.kind, self.protocol
        kind = kinds().get(name)
        here = tables(protocol)
        if kind is None:
            self.fail(
                f"kind '{name}' is not known; allowed: {listed(here, 'rascal kinds')}", allowed=here
            )
        table = _table(kind, protocol)
        if table is None:
            names = listed(here, "rascal kinds")
            if kind.levels == ("message",) and not protocol.messages:
                why = f"'{name}' strikes messages, and {protocol.name} has none"
            else:
                why = f"{protocol.name} has no '{name}'"
            self.fail(f"{why}; kinds of {protocol.name}: {names}", allowed=here)
        return kind, table

    def _moments(self) -> tuple[Moment, ...]:
        """When it strikes, as far as the kind and the protocol go."""
        kind, protocol = self.kind, self.protocol
        if not self.written:
            try:
                usual = kind.usual(self.options, protocol)
            except ConfigError as error:
                raise self._located(error) from None
            if usual == ("connect",) and "message" in kind.levels and self._about_messages():
                return kind.moments[:1]
            return usual
        allowed = list(kind.moments)
        if "reply" in allowed and protocol.greets and "greeting" not in allowed:
            allowed.append("greeting")
        if not protocol.greets and "greeting" in allowed:
            allowed.remove("greeting")
        if not protocol.messages:
            allowed = [moment for moment in allowed if moment == "connect"]
        for moment in self.written:
            if moment not in allowed:
                if moment == "greeting" and not protocol.greets:
                    self.fail(f"{protocol.name} has no greeting: the client speaks first", "at")
                where = f"strikes at {', '.join(allowed)}" if allowed else "strikes no moment"
                self.fail(f"{kind.name} {where} on {protocol.name}, not at {moment}", "at", allowed)
        several = len(self.written) > 1
        if several and not kind.composes:
            self.fail(f"{kind.name} strikes at one moment, found {', '.join(self.written)}", "at")
        for moment in self.written:
            if several and moment in ("connect", "greeting"):
                self.fail(f"'{moment}' stands alone: it is about connections", "at")
        return self.written

    def _about_messages(self) -> str | None:
        """A field of its match that connections do not have."""
        sides = {name: field_of(name, self.protocol).side for name in self.match.fields}
        return next((name for name, side in sides.items() if side != "connection"), None)

    def _level(self, at: tuple[Moment, ...]) -> Level:
        """What it strikes here."""
        kind, per = self.kind, self.phrase.clause("per")
        levels = kind.levels
        level: Level
        if shape := kind.shape(self.options):
            level = shape
        elif "listener" in levels and (self.conditional is None or levels == ("listener",)):
            level = "listener"
        elif per != "connection" and self.protocol.messages and "message" in levels:
            level = "connection" if "connect" in at and "connection" in levels else "message"
        else:
            level = "connection"
        if level == "connection" and "connection" not in levels:
            if per == "connection":
                self.fail(f"{kind.name} strikes exchanges: it cannot be per connection", "per")
            self.fail(f"'{kind.name}' strikes messages, and {self.protocol.name} has none")
        if level == "message" and per == "connection":
            self.fail(f"{kind.name} with these options strikes exchanges", "per")
        if level != "message" and per == "exchange":
            self.fail(
                f"{kind.name} strikes {_struck(level)} here: it cannot be per exchange", "per"
            )
        return level

    def _no_messages(self, level: Level, at: tuple[Moment, ...]) -> None:
        """On listeners and connections: what cannot be chosen, or matched, there."""
        kind = self.kind
        for moment in self.written:
            if moment != "connect":
                self.fail(f"per connection there is no '{moment}'", "at")
        if level == "listener":
            if self.conditional is not None:
                self.fail(
                    f"{kind.name} strikes every attempt to connect: it takes no "
                    f"'{self.conditional}'",
                    self.conditional,
                )
            return
        if name := self._about_messages():
            known = [field.name for field in self.protocol.fields if field.side == "connection"]
            self.fail(
                f"{kind.name} strikes connections here and is asked when one is made: it can "
                f"match only {', '.join(known)}, not '{name}'",
                "match",
                known,
            )

    def _known_by(self, at: tuple[Moment, ...]) -> tuple[Moment, ...]:
        """The moments at which it strikes, late enough for what it matches."""
        kind, protocol, match = self.kind, self.protocol, self.match
        if not self.written and protocol.greets and match.commands == frozenset((GREETING,)):
            if "reply" not in kind.moments and "greeting" not in kind.moments:
                self.fail(f"{kind.name} cannot strike the greeting (command={GREETING})", "match")
            at = ("greeting",)
        late = [moment for moment in kind.moments if moment in _WITH_REPLY]
        if match.reply and not self.written:
            at = tuple(moment for moment in at if moment in late) or tuple(late[:1]) or at
        early = next((moment for moment in at if moment not in (*_WITH_REPLY, "greeting")), None)
        for name in match.fields:
            side = field_of(name, protocol).side
            if side == "reply" and early:
                advice = f": write 'at {late[0]}'" if late else ""
                self.fail(
                    f"'{name}' is known with the reply, and {kind.name} strikes at {early}{advice}",
                    "match",
                )
            if "greeting" in at and side != "connection" and name != "command":
                self.fail(f"'{name}' is not known at the greeting", "match")
        if "greeting" in at and match.commands is not None and not match.names(GREETING):
            self.fail(f"at the greeting there is no command but {GREETING}", "match")
        return at

    def _direction(self, level: Level) -> None:
        if self.phrase.clause("direction") is None:
            return
        if not self.kind.directional:
            self.fail(f"{self.kind.name} has no direction", "direction")
        if level == "message":
            self.fail(
                f"{self.kind.name} strikes messages here: write 'at request' or 'at reply', or "
                "'per connection' for bytes in one direction",
                "direction",
            )

    def _check(self, at: tuple[Moment, ...]) -> None:
        try:
            self.kind.check(self.options, self.protocol, at)
        except ConfigError as error:
            raise self._located(error) from None

    def _located(self, error: ConfigError) -> ConfigError:
        return self.phrase.problem(
            error.message, error.option or "kind", code=error.code, allowed=error.allowed
        )
