"""Faults, steps of scripts, and lists of them: `20% delay(2s) match key^=session: for 20s`.

The rules of a sentence are in `Sentence`, which is told one word after the other; the text reader
here and the JSON reader (structure.py) both speak to it, so that both allow the same and say the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rascal.errors import ConfigError, did_you_mean, listed
from rascal.language.errors import LanguageError
from rascal.language.reader import NAME, Reader, Tables
from rascal.language.values import CLAUSES, Phrase
from rascal.options import Option, OptionTable

PASS = OptionTable(Option("count", "positive", "how many exchanges go through", default=1))
RECIPE = OptionTable(Option("recipe", "name", "the recipe's name", required=True))
STEP_CLAUSES = ("at", "count")
RECIPE_CLAUSES = ("on", "from", "until", "for", "name")


class Fail(Protocol):
    """Makes an error about the word that is just being told."""

    def __call__(
        self, message: str, *, code: str = "not-allowed", allowed: Any = ()
    ) -> ConfigError: ...


@dataclass
class Sentence:
    """One fault or step while it is read: which words it allows next, and what it has.

    `what` is "fault" or "step".
    """

    what: str
    tables: Tables
    kind: str = ""
    table: Mapping[str, Option] = field(default_factory=OptionTable)
    options: dict[str, Any] = field(default_factory=dict)
    clauses: dict[str, Any] = field(default_factory=dict)
    allowed: tuple[str, ...] = tuple(CLAUSES)
    spoken: str | None = None
    typed: bool = True

    def begin(self, kind: str, fail: Fail) -> None:
        """The kind is known."""
        if self.what == "step":
            self.allowed = STEP_CLAUSES
        if kind == "pass":
            if self.what != "step":
                raise fail("'pass' stands only in a script")
            self.kind, self.table, self.spoken = kind, PASS, "count"
            self.allowed = ("count",)
            return
        kinds = self.tables.kinds
        if kind == "recipe" and kind not in kinds and self.what == "fault":
            self.kind, self.table, self.spoken = kind, RECIPE, "recipe"
            self.allowed = RECIPE_CLAUSES
            for name in self.clauses:
                raise fail(f"a recipe has no '{name}' (only {', '.join(RECIPE_CLAUSES)})")
            return
        table = kinds.get(kind)
        if table is None:
            extra = ["pass"] if self.what == "step" else []
            raise fail(
                f"kind '{kind}' is not known; allowed: {listed(kinds, 'rascal kinds')}."
                f"{did_you_mean(kind, [*kinds, *extra])}".rstrip("."),
                code="unknown-name",
                allowed=kinds,
            )
        self.kind, self.table, self.spoken = kind, table, table.spoken

    def option(self, name: str, fail: Fail) -> Option:
        """The table's row of an option that is about to be given."""
        if name not in self.table and self.typed:
            names = sorted(self.table)
            hint = (
                f"; '{name}' is a clause: write '{name} …' after the options"
                if name in CLAUSES
                else f".{did_you_mean(name, names)}".rstrip(".")
            )
            known = listed(names, f"rascal kinds {self.kind}")
            raise fail(
                f"{self.kind} has no option '{name}'; options: {known}{hint}",
                code="unknown-name",
                allowed=names,
            )
        if name in self.options:
            raise fail(f"'{name}' is given twice", code="given-twice")
        return self.table[name] if name in self.table else Option(name, "text", "")

    def set(self, option: Option, value: Any, fail: Fail) -> None:
        """An option has its value. A recipe's name says which further options there are."""
        self.options[option.name] = value
        if self.kind != "recipe" or option.name != "recipe" or self.table is not RECIPE:
            return
        recipes = self.tables.recipes
        if recipes is None:
            self.typed = False
        elif value in recipes:
            self.table = OptionTable(*RECIPE.values(), *recipes[value].values())
        else:
            raise fail(
                f"recipe '{value}' is not known; allowed: {listed(recipes, 'rascal recipes')}."
                f"{did_you_mean(value, recipes)}".rstrip("."),
                code="unknown-name",
                allowed=recipes,
            )

    def clause(self, name: str, fail: Fail) -> Any:
        """The type of a clause that is about to be given."""
        if name not in self.allowed:
            what = "recipe" if self.allowed is RECIPE_CLAUSES else self.what
            raise fail(f"a {what} has no '{name}' (only {', '.join(self.allowed)})")
        if reason := self.tables.without.get(name):
            raise fail(f"'{name}' has no meaning here: {reason}")
        if name in self.clauses:
            raise fail(f"'{name}' is given twice", code="given-twice")
        if name in ("for", "until") and {"for", "until"} & self.clauses.keys():
            raise fail("'for' and 'until' both say when it ends: keep one")
        return CLAUSES[name]

    def end(self, fail: Fail, source: str, places: dict[str, Any]) -> Phrase:
        """The whole sentence."""
        if self.kind == "pass" and "count" in self.options:
            if "count" in self.clauses:
                raise fail("'count' is given twice", code="given-twice")
            self.clauses["count"] = self.options.pop("count")
        for name, option in self.table.items():
            if option.required and name not in self.options:
                raise fail(f"{self.kind} lacks '{name}': {option.help}", code="value-missing")
        rest = [name for name in self.options if name not in self.table]
        return Phrase(
            self.kind,
            tuple((o, self.options[o]) for o in (*self.table, *rest) if o in self.options),
            tuple((c, self.clauses[c]) for c in CLAUSES if c in self.clauses),
            self.spoken,
            source,
            places,
        )


def read_fault(r: Reader) -> Phrase:
    """One fault."""
    return _sentence(r, "fault")


def read_step(r: Reader) -> Phrase:
    """One step of a script."""
    return _sentence(r, "step")


def read_roulette(r: Reader) -> tuple[Phrase, ...]:
    """Faults of which one draw strikes at most one."""
    found = read_items(r, read_fault, "roulette")
    check_shares(found)
    return found


def check_shares(found: tuple[Phrase, ...]) -> None:
    """Each fault of a roulette has a probability; together they are at most 100%."""
    total = 0
    for phrase in found:
        share = phrase.clause("probability")
        if share is None:
            raise phrase.problem(
                f"each fault of a roulette has its share: write 10% {phrase.kind}…",
                code="value-missing",
            )
        total += share.value
        if total > 1:
            raise phrase.problem(
                f"the shares of a roulette are together at most 100%, here {float(total):.6g} of 1",
                "probability",
            )


def read_items(r: Reader, read: Callable[[Reader], Any], what: str) -> tuple[Any, ...]:
    """Items between commas or line ends; one comma too many at the end is allowed."""
    r.lines, found = True, []
    r.space(newline=True)
    while r.next():
        if r.next() == ",":
            raise r.fail(f"the {what} has an empty place before this comma", end=r.at + 1)
        found.append(read(r))
        r.space()
        r.take(",")
        r.space(newline=True)
    if not found:
        raise r.fail(f"the {what} is empty", code="value-missing")
    return tuple(found)


def _sentence(r: Reader, what: str) -> Phrase:
    r.space()
    sentence = Sentence(what, r.tables)
    places: dict[str, Any] = {}
    if "0" <= r.next() <= "9":
        at = r.at
        if what == "step":
            raise r.fail("a step has no probability: each one is taken in its turn", at, at + 1)
        sentence.clauses["probability"] = r.value("probability", "probability")
        places["probability"] = (at, r.at)
        r.space()
    start, found = r.at, NAME.match(r.text, r.at)
    if not found:
        example = ", ".join(list(r.tables.kinds)[:3]) or "delay"
        raise r.fail(
            f"expected a {what} such as {example}" + (f", found '{r.next()}'" if r.next() else ""),
            code="value-missing",
        )
    places["kind"] = (start, found.end())
    sentence.begin(found[0], _fail_at(r, start, found.end()))
    r.at = found.end()
    _options(r, sentence, places)
    _clauses(r, sentence, places)
    return sentence.end(_fail_at(r, start, found.end()), r.text, places)


def _options(r: Reader, sentence: Sentence, places: dict[str, Any]) -> None:
    closed = r.take("(")
    for at, name in r.arguments(closed, CLAUSES):
        if name is None:
            name = sentence.spoken
            if name is None or name in sentence.options:
                raise _surplus(r, sentence, closed, at)
        fail = _fail_at(r, at, at + len(name))
        option = sentence.option(name, fail)
        r.space()
        start = r.at
        value = r.option(option)
        places[name] = (start, r.at)
        sentence.set(option, value, _fail_at(r, start, r.at))


def _surplus(r: Reader, sentence: Sentence, closed: bool, at: int) -> LanguageError:
    """A value that has no place: an option without its name, or a misspelt clause."""
    word = r.peek_word() or r.bare() or r.next()
    if word in CLAUSES and not closed:
        return _unexpected(r, sentence, word, at)
    if sentence.spoken and not closed:
        return _unexpected(r, sentence, word, at)
    kind, table = sentence.kind, sentence.table
    takes = f"only {sentence.spoken}" if sentence.spoken else "no value"
    options = f"; options: {', '.join(sorted(table))}" if table else ""
    near = "" if closed else f".{did_you_mean(word, sentence.allowed)}".rstrip(".")
    return r.fail(f"{kind} takes {takes} without a name{options}{near}", at, at + len(word))


def _unexpected(r: Reader, sentence: Sentence, word: str, at: int) -> LanguageError:
    try:
        if word in CLAUSES:
            sentence.clause(word, _fail_at(r, at, at + len(word)))
    except LanguageError as error:
        return error
    names = [name for name in sentence.allowed if name not in sentence.tables.without]
    near = f".{did_you_mean(word, names)}".rstrip(".")
    return r.fail(
        f"expected ',' or one of {', '.join(names)}, found '{word}'{near}",
        at,
        at + len(word),
        code="unknown-name",
        allowed=names,
    )


def _clauses(r: Reader, sentence: Sentence, places: dict[str, Any]) -> None:
    while True:
        back = r.at
        r.space()
        start, word = r.at, r.peek_word()
        if word not in CLAUSES:
            if r.next() in ("", ",", "\n"):
                r.at = back
                return
            raise _unexpected(r, sentence, word or r.bare("") or r.next(), start)
        type_ = sentence.clause(word, _fail_at(r, start, start + len(word)))
        r.at += len(word)
        r.space()
        at = r.at
        sentence.clauses[word] = r.value(type_, word)
        places[word] = (at, r.at)


def _fail_at(r: Reader, start: int, end: int) -> Fail:
    def fail(message: str, *, code: str = "not-allowed", allowed: Any = ()) -> LanguageError:
        return r.fail(message, start, end, code=code, allowed=allowed)

    return fail
