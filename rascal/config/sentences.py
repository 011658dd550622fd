"""The faults, scripts and roulettes of one proxy: sentences of proxies.ini to specifications.

`faults = …` holds sentences; `[fault:PROXY/NAME]` is the long form, one clause or option a line.
Both go through the same rules (`rascal.language`). After a sentence that is wrong, reading goes
on with the next line, so that a file's errors are found together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs

from rascal.config.building import build, free_name
from rascal.config.ini import Entry, Section
from rascal.config.registry import Registry
from rascal.config.specs import Form, Installed, usual_name
from rascal.config.tables import ROULETTE, SCRIPT
from rascal.errors import ConfigError, did_you_mean
from rascal.language import (
    CLAUSES,
    Condition,
    LanguageError,
    Phrase,
    Tables,
    parse,
    parse_option,
)
from rascal.language.phrase import Fail, Sentence, check_shares
from rascal.options import Option
from rascal.wire.types import WireProtocol

IN_A_FILE = {
    "on": "the section names the proxy",
    "from": "only experiments have phases",
    "until": "only experiments have phases; write 'for 20s'",
}
"""Clauses that mean nothing in proxies.ini, and why."""

IN_A_SECTION = IN_A_FILE | {"name": "the section names the fault"}


@attrs.frozen
class Draft:
    """Something to install whose name may still be missing, and where its parts stand."""

    form: Form
    name: str | None
    phrases: tuple[Phrase, ...]
    where: Callable[[ConfigError], ConfigError]
    match: tuple[Condition, ...] = ()
    enabled: bool = True
    path: str = ""
    line: int = 0


class Sentences:
    """Reads what one proxy of `protocol` is to install."""

    def __init__(self, registry: Registry, protocol: WireProtocol) -> None:
        self.registry = registry
        self.protocol = protocol
        self.kinds = registry.kinds(protocol)
        self.findings: list[ConfigError] = []
        self.drafts: list[Draft] = []

    # ---- the forms

    def faults(self, entry: Entry) -> None:
        """`faults =`: each with its own draw."""
        for phrase in self._list(entry, "faults"):
            form: Form = "recipe" if phrase.kind == "recipe" else "fault"
            self._draft(entry, form, phrase.clause("name"), (phrase,))

    def roulette(
        self, entry: Entry, name: str = "roulette", enabled: bool = True, line: int = 0
    ) -> None:
        """`roulette =`: one draw for all."""
        before = len(self.findings)
        phrases = tuple(self._list(entry, "faults"))
        if len(self.findings) > before or not phrases:
            return
        try:
            check_shares(phrases)
        except LanguageError as error:
            self.findings.append(entry.located(error))
        else:
            self._draft(entry, "roulette", name, phrases, enabled=enabled, line=line)

    def roulette_section(self, section: Section, name: str) -> None:
        """`[roulette:PROXY/NAME]`."""
        given = self._options(section, ROULETTE)
        if "faults" in section.entries:
            enabled = given.get("enabled", True)
            self.roulette(section.entries["faults"], name, enabled, section.line)

    def script_section(self, section: Section, name: str) -> None:
        """`[script:PROXY/NAME]`."""
        before = len(self.findings)
        given = self._options(section, SCRIPT)
        match: tuple[Condition, ...] = ()
        if entry := section.entries.get("match"):
            match = self._read(entry, lambda: self._parse("match", entry.text)) or ()
        steps = section.entries.get("steps")
        if steps is None:
            self.findings.append(
                section.error(f"[{section.name}] lacks 'steps'", code="value-missing")
            )
            return
        phrases = tuple(self._list(steps, "script"))
        if phrases and len(self.findings) == before:
            enabled = given.get("enabled", True)
            self._draft(
                steps, "script", name, phrases, match=match, enabled=enabled, line=section.line
            )

    def fault_section(self, section: Section, name: str) -> None:
        """`[fault:PROXY/NAME]`: the long form of a fault."""
        self._long_form("fault", "kind", section, name)

    def recipe_section(self, section: Section, name: str) -> None:
        """`[recipe:PROXY/NAME]`: the long form of a recipe, which may be disabled there."""
        self._long_form("recipe", "recipe", section, name)

    def _long_form(self, form: Form, first: str, section: Section, name: str) -> None:
        before = len(self.findings)
        kind = section.entries.get(first)
        if kind is None:
            message = f"[{section.name}] lacks '{first}'"
            self.findings.append(section.error(message, code="value-missing"))
            return
        recipes = self.registry.recipes if form == "recipe" else {}
        sentence = Sentence(
            "fault",
            Tables(self.kinds, self.protocol.fields, self.protocol.name, recipes, IN_A_SECTION),
        )
        enabled = True
        try:
            sentence.begin("recipe" if form == "recipe" else kind.text, _fail(kind))
            if form == "recipe":
                self._line(sentence, kind)
            elif kind.text == "recipe":
                where = f"[recipe:{section.name.partition(':')[2]}]"
                raise kind.error(f"a recipe stands in 'faults =', or has a section {where}")
        except ConfigError as error:
            self.findings.append(error)
        if len(self.findings) > before:
            return
        for entry in section.entries.values():
            if form == "recipe" and entry.name == "enabled":
                flag = partial(parse_option, SCRIPT["enabled"], entry.text)
                enabled = self._read(entry, flag) is not False
            elif entry is not kind:
                self._line(sentence, entry)
        if len(self.findings) > before:
            return
        places = {name: name for name in section.entries}
        try:
            phrase = sentence.end(_fail(kind), "", places)
        except ConfigError as error:
            self.findings.append(error)
            return

        def where_(error: ConfigError) -> ConfigError:
            option = error.option or str(error.pointer or "").rpartition("/")[2] or first
            entry = section.entries.get(option, kind)
            return entry.error(error.message, allowed=error.allowed, code=error.code)

        draft = Draft(form, name, (phrase,), where_, path=section.path, line=section.line)
        self.drafts.append(attrs.evolve(draft, enabled=enabled))

    def _line(self, sentence: Sentence, entry: Entry) -> None:
        """One option or clause of the long form."""
        fail, name = entry.name_error, entry.name
        try:
            if name in CLAUSES:
                clause = Option(name, sentence.clause(name, fail), "")
                sentence.clauses[name] = parse_option(clause, entry.text, sentence.tables)
            elif name in sentence.table:
                option = sentence.option(name, fail)
                sentence.set(option, parse_option(option, entry.text), fail)
            else:
                first = [] if "recipe" in sentence.table else ["kind"]
                allowed = [*first, *sorted(sentence.table), *sorted({*CLAUSES} - {*IN_A_SECTION})]
                options = ", ".join(sorted(sentence.table)) or "none"
                near = f".{did_you_mean(name, allowed)}".rstrip(".")
                raise fail(
                    f"{sentence.kind} has no option '{name}'; options: {options}{near}",
                    code="unknown-name",
                    allowed=sorted(sentence.table),
                )
        except LanguageError as error:
            self.findings.append(entry.located(error))
        except ConfigError as error:
            self.findings.append(error)

    # ---- reading

    def _parse(self, type_: Any, text: str, **more: Any) -> Any:
        return parse(
            type_,
            text,
            kinds=self.kinds,
            fields=self.protocol.fields,
            protocol=self.protocol.name,
            recipes=self.registry.recipes,
            without=more.get("without", IN_A_FILE),
        )

    def _read(self, entry: Entry, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except LanguageError as error:
            self.findings.append(entry.located(error))
            return None

    def _list(self, entry: Entry, type_: str) -> Iterable[Phrase]:
        """The sentences of a list; after a wrong one, reading goes on with the next line.

        What is left out is blanked, so that every sentence keeps its place.
        """
        found: list[Phrase] = []
        text, lines = entry.text, entry.text.split("\n")
        begin = 0
        while True:
            try:
                found += self._parse(type_, _blank(text, begin))
                return found
            except LanguageError as error:
                self.findings.append(entry.located(error))
                row = error.row - 1
            before = sum(len(line) + 1 for line in lines[:row])
            if before > begin and text[begin:before].strip(" \n,"):
                with suppress(LanguageError):  # lines that belong together: it has been said
                    found += self._parse(type_, _blank(text[:before], begin))
            while row < len(lines) and lines[row].rstrip().endswith(" and"):
                row += 1
            begin = sum(len(line) + 1 for line in lines[: row + 1])
            if not text[begin:].strip(" \n,"):
                return found

    def _options(self, section: Section, table: Any) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, entry in section.entries.items():
            if name not in table:
                allowed = ", ".join(table)
                near = f".{did_you_mean(name, table)}".rstrip(".")
                self.findings.append(
                    entry.name_error(
                        f"[{section.name}] has no option '{name}'; options: {allowed}{near}",
                        allowed=tuple(table),
                        code="unknown-name",
                    )
                )
            elif table[name].type == "flag":
                given[name] = self._read(entry, partial(parse_option, table[name], entry.text))
        for name, option in table.items():
            if option.required and name not in section.entries:
                self.findings.append(
                    section.error(f"[{section.name}] lacks '{name}'", code="value-missing")
                )
        return given

    def _draft(
        self, entry: Entry, form: Form, name: str | None, phrases: tuple[Phrase, ...], **more: Any
    ) -> None:
        def where(error: ConfigError) -> ConfigError:
            if isinstance(error, LanguageError) and error.text and error.pointer is None:
                return entry.located(error)
            phrase = phrases[0]
            if len(phrases) > 1:  # whose it is: the one that the error names, if it does
                phrase = next(
                    (one for one in phrases if one.option(error.option or "") is not None), phrase
                )
            place = phrase.places.get(error.option or "", phrase.places.get("kind", (0, 1)))
            at = place[0] if isinstance(place, tuple) else 0
            return entry.error(error.message, at, allowed=error.allowed, code=error.code)

        start = phrases[0].places.get("kind")
        if not more.get("line"):
            more["line"] = entry.place(start[0])[0] if isinstance(start, tuple) else entry.line
        self.drafts.append(Draft(form, name, phrases, where, path=entry.path, **more))

    # ---- naming and building

    def install(self) -> tuple[Installed, ...]:
        """Name what has no name, build the specifications; what is wrong goes to `findings`."""
        named: dict[str, Draft] = {}
        for draft in self.drafts:
            if draft.name is None:
                continue
            if draft.name in named:
                earlier = named[draft.name]
                self.findings.append(
                    draft.where(
                        ConfigError(
                            f"'{draft.name}' is the name of another fault of this proxy, "
                            f"{earlier.path}:{earlier.line}",
                            option="name",
                            code="given-twice",
                        )
                    )
                )
            named.setdefault(draft.name, draft)
        taken = set(named)
        return tuple(installed for draft in self.drafts if (installed := self._build(draft, taken)))

    def _build(self, draft: Draft, taken: set[str]) -> Installed | None:
        name = draft.name or free_name(usual_name(draft.phrases[0]), taken)
        taken.add(name)
        try:
            return build(
                self.registry,
                self.protocol,
                draft.form,
                name,
                draft.phrases,
                match=draft.match,
                enabled=draft.enabled,
                path=draft.path,
                line=draft.line,
            )
        except ConfigError as error:
            self.findings.append(draft.where(error))
            return None


def _blank(text: str, begin: int) -> str:
    """The text with its first characters blanked, line ends kept."""
    return "".join("\n" if c == "\n" else " " for c in text[:begin]) + text[begin:]


def _fail(entry: Entry) -> Fail:
    """Errors about an option's value."""

    def fail(message: str, *, code: str = "not-allowed", allowed: Any = ()) -> ConfigError:
        return entry.error(message, allowed=allowed, code=code)

    return fail
