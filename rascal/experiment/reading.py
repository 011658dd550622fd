"""Experiment files: YAML to an Experiment, every finding at once with file, line and column.

    recipe: overloaded-database on db
    target: http://127.0.0.1:8080
    load: {scenarios: shop.py, profile: hold 200/s}

is a whole experiment; docs/experiments.md has all names. What load means is read by
`rascal.load.planning`, faults are the language's; what a proxy's protocol knows of them is asked
of the proxy before anything starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import attrs

from rascal.config.registry import installed
from rascal.containers import KINDS as CONTAINERS
from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.experiment.expectation import read_expectation
from rascal.experiment.questions import read_check
from rascal.experiment.record import Thresholds
from rascal.experiment.specification import (
    DEFAULT_NODE,
    DEFAULT_PHASES,
    PHASES,
    Action,
    Check,
    Experiment,
    Form,
)
from rascal.experiment.timeline import overlapping, timeline_of
from rascal.language import LanguageError, Objective, Phrase, Time, parse, show
from rascal.load.targets import target_problems
from rascal.load.wishes import NAMES as WISHES
from rascal.load.wishes import Wishes, as_list, kind_of
from rascal.load.yamltext import Block, Text, place, read_yaml, resolved
from rascal.options import Option, OptionTable

OPTIONS = OptionTable(
    Option("name", "text", "What it is called; default the file's name"),
    Option("target", "text", "Base URL of the application, such as http://127.0.0.1:8080"),
    Option("seed", "count", "Of all draws, of the load and of the faults", 0),
    Option("compare", ("load", "shares"), "shares: the load may change on the way", "load"),
    Option("probe", "flag", "Cut the load if it is stuck, to see what kind of stuck it is", True),
    Option(
        "probe_load", "percentage", "Of the load, while probing", 0.1, minimum=0.01, maximum=0.5
    ),
    Option("probe_wait", "duration", "At most, until it is clear", 60.0, minimum=5, maximum=3600),
    Option("compose", "text", "Compose project of container faults"),
    Option("learn", "flag", "See which flows use which dependency, unless `uses` says so", True),
)
"""The options of an experiment that are one value each."""

NAMES = (
    "recipe", "nodes", "load", "phases", "faults", "scripts", "uses", "deadlines", "objectives",
    "stop", "invariants", "expect", "thresholds", "labels", *OPTIONS,
)  # fmt: skip
LOAD_NAMES = tuple(
    name for name in WISHES if name not in ("name", "target", "seed", "loss", "for", "replay")
)
"""What may stand under load; the rest is said at the top, or by the phases."""
SCRIPT_NAMES = ("on", "match", "steps", "name", "from", "until", "for")
SHARES = (
    "keep", "cascade_dip", "dishonest", "baseline_ok", "offered", "unsound", "clear", "slow_share",
    "reduced", "sure", "sure_again",
)  # fmt: skip
"""Thresholds that are a share of something."""
OTHERS = "x-"
"""Names at the top that begin so are for other programs."""
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")
_FAULT, _FAULT_END = Time("fault"), Time("fault.end")
CONTAINER_KINDS = tuple(CONTAINERS)


def read_experiment(path: str, environ: Mapping[str, str] | None = None) -> Experiment:
    """Read a file; raises ConfigErrors. `environ` as in `experiment_of`."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigErrors([ConfigError(f"cannot be read: {why}", path=path)]) from error
    return experiment_of(text, path, environ)


def experiment_of(text: str, path: str, environ: Mapping[str, str] | None = None) -> Experiment:
    """The experiment that a text describes; raises ConfigErrors.

    Args:
        text: YAML.
        path: the file, for findings.
        environ: in place of the environment: what `${NAME}` stands for.
    """
    used: dict[str, str] = {}
    environ = os.environ if environ is None else environ
    found = resolved(read_yaml(text, path), path, environ, used)
    if not isinstance(found, Block):
        message = "an experiment is a list of 'name: value' lines: recipe, target, load at least"
        raise ConfigErrors([ConfigError(message, path=path)])
    reader = _Reader(found, path)
    return attrs.evolve(reader.experiment(), variables=used)


def thresholds_of(texts: Mapping[str, str], base: Thresholds) -> Thresholds:
    """Thresholds as texts (`keep` to `90%`) over others; raises ConfigErrors."""
    reader = _Reader(Block(thresholds=Block(texts)), "")
    found = reader.thresholds(base)
    if reader.findings:
        raise ConfigErrors(reader.findings)
    return found


class _Reader(Wishes):
    """Collects findings while it reads one file."""

    def __init__(self, values: Mapping[str, Any], path: str) -> None:
        super().__init__(values, (), path)
        self._names: set[str] = set()

    def experiment(self) -> Experiment:
        self.unknown(self.values, NAMES, "an experiment")
        single = {name: self.option(OPTIONS[name]) for name in OPTIONS if self.given(name)}
        target = str(single.pop("target", "") or "")
        if not target:
            self.wrong("which target? write its base URL, such as http://127.0.0.1:8080", "target")
        for problem in target_problems(target) if target else ():
            self.wrong(problem, "target")
        phases = self.phases()
        load, scenarios = self.load()
        actions = tuple(self.actions())
        if not actions and not self.findings:
            self.wrong("what goes wrong? write faults, scripts or a recipe", "faults")
        name = single.pop("name", None) or Path(self.path or "experiment").stem
        found = Experiment(
            name=name,
            target=target.rstrip("/"),
            nodes=self.nodes(),
            load=load,
            scenarios=scenarios,
            phases=phases,
            actions=actions,
            uses=self.uses(),
            deadlines=self.deadlines(),
            objectives=tuple(self.objectives()),
            stop=tuple(self.stops()),
            invariants=tuple(self.checks("invariants")),
            expect=self.expectation(),
            thresholds=self.thresholds(),
            labels=self.texts("labels"),
            path=self.path or "",
            **single,
        )
        self.times(found)
        if self.findings:
            raise ConfigErrors(self.findings)
        return found

    def unknown(self, values: Mapping[str, Any], names: Iterable[str], what: str) -> None:
        allowed = sorted(names)
        for name in values:
            if name not in allowed and not (values is self.values and name.startswith(OTHERS)):
                message = f"{what} has no '{name}'; names: {', '.join(allowed)}."
                self.finding(message + did_you_mean(name, allowed), name, name)

    def finding(self, message: str, name: str, at: Any) -> None:
        """A finding at the place of `at`, or of the whole file."""
        where = place(at)
        self.findings.append(ConfigError(message, path=self.path, option=str(name), **where))

    def times(self, found: Experiment) -> None:
        """What only the whole can tell: windows, and containers struck twice at once."""
        try:
            timeline = timeline_of(found)
        except ConfigError as error:
            self.findings.append(error)
            return
        for one, other in overlapping(timeline.windows):
            self.finding(
                f"{one.action.name} and {other.action.name} strike the service "
                f"'{one.action.service}' at the same time: one at a time can be undone",
                "faults",
                None,
            )

    # ---- the parts

    def block(self, name: str) -> Block:
        value = self.values.get(name)
        if value is None:
            return Block()
        if not isinstance(value, Block):
            self.wrong(f"{name} are 'name: value' lines, found {kind_of(value)}", name)
            return Block()
        return value

    def phases(self) -> dict[str, float]:
        given = self.block("phases")
        self.unknown(given, PHASES, "phases")
        found = dict(DEFAULT_PHASES)
        for name in PHASES:
            if name in given:
                option = Option(name, "duration", "", minimum=0 if name == "warm-up" else 1)
                value = self.option(option, given)
                found[name] = float(value) if value is not None else found[name]
                if found[name] % 1:
                    self.finding(f"the phase '{name}' is whole seconds", name, given[name])
        return found

    def load(self) -> tuple[Mapping[str, Any], str]:
        given = self.values.get("load")
        if not isinstance(given, Block):
            self.wrong("which load? write load: {scenarios: shop.py, profile: hold 200/s}", "load")
            return {}, ""
        self.unknown(given, LOAD_NAMES, "load")
        scenarios = given.get("scenarios")
        if not isinstance(scenarios, str) or not scenarios:
            self.finding("which scenarios? load needs 'scenarios: FILE.py'", "scenarios", given)
            return given, ""
        return given, str(scenarios)

    def nodes(self) -> dict[str, str]:
        found = {}
        for name, url in self.block("nodes").items():
            if not isinstance(url, str) or not url.startswith(("http://", "https://")):
                self.finding(
                    f"the node '{name}' is the URL of its control API, such as {DEFAULT_NODE}",
                    name,
                    url if place(url) else name,
                )
            else:
                found[str(name)] = str(url).rstrip("/")
        return found or {"main": DEFAULT_NODE}

    def uses(self) -> dict[str, tuple[str, ...]] | None:
        if not self.given("uses"):
            return None
        found = {}
        for dependency, flows in self.block("uses").items():
            names = as_list(flows)
            if not all(isinstance(one, str) for one in names):
                self.finding(f"'{dependency}' is used by a list of flows", dependency, dependency)
                continue
            found[str(dependency)] = tuple(str(one) for one in names)
        return found

    def deadlines(self) -> dict[str, float]:
        given = self.block("deadlines")
        options = {name: Option(str(name), "duration", "", minimum=0.001) for name in given}
        found = {str(name): self.option(option, given) for name, option in options.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    def expectation(self) -> Any:
        text = self.values.get("expect")
        if text is None:
            return None
        try:
            return read_expectation(str(text))
        except ConfigError as error:
            self.wrong(error.message, "expect")
            return None

    def thresholds(self, base: Thresholds | None = None) -> Thresholds:
        given = self.block("thresholds")
        fields = {field.name: field for field in attrs.fields(Thresholds)}
        self.unknown(given, fields, "thresholds")
        changes: dict[str, Any] = {}
        for name, text in given.items():
            if name not in fields:
                continue
            number = re.fullmatch(r"(\d+(?:\.\d+)?)(%|s|ms)?", str(text))
            if not number:
                self.finding(f"{name} is a number, a share (95%) or a time (3s)", name, text)
                continue
            value = float(number[1]) / {"%": 100, "ms": 1000}.get(number[2] or "", 1)
            if name in SHARES and not 0 <= value <= 1:
                self.finding(f"{name} is a share: write {text}%, or a number to 1", name, text)
            changes[str(name)] = int(value) if isinstance(fields[name].default, int) else value
        return attrs.evolve(base or Thresholds(), **changes)

    def objectives(self) -> Iterable[Objective]:
        for text in as_list(self.values.get("objectives")):
            read = self.read("objective", text, "objectives")
            if read is None:
                continue
            phase = dict(read.tail).get("in", "fault")
            if phase not in (*PHASES, "all"):
                known = ", ".join((*PHASES, "all"))
                self.wrong(f"'in {phase}': phases are {known}", "objectives", text)
            yield read

    def stops(self) -> Iterable[Objective | Check]:
        for one in as_list(self.values.get("stop")):
            if isinstance(one, Block):
                found = read_check(one, self, "stop")
                if found:
                    yield found
                continue
            read = self.read("objective", one, "stop")
            if read is not None:
                yield read

    def checks(self, name: str) -> Iterable[Check]:
        for one in as_list(self.values.get(name)):
            if not isinstance(one, Block):
                example = "{name: …, get: URL, json: $.path, equals: 0}"
                self.wrong(f"{name} are lines such as {example}", name, one)
                continue
            found = read_check(one, self, name)
            if found:
                yield found

    # ---- what goes wrong

    def actions(self) -> Iterable[Action]:
        recipe = self.values.get("recipe")
        for text in as_list(recipe):
            if isinstance(text, str) and text.split()[:1] != ["recipe"]:
                text = _after("recipe ", text)
            yield from self.sentence(text, "recipe")
        for text in as_list(self.values.get("faults")):
            yield from self.sentence(text, "faults")
        for one in as_list(self.values.get("scripts")):
            yield from self.script(one)

    def sentence(self, text: Any, name: str) -> Iterable[Action]:
        if not isinstance(text, str):
            self.wrong(f"{name} is a list of sentences, found {kind_of(text)}", name, text)
            return
        try:
            phrases = parse("faults", text, kinds=_kinds(), recipes=installed().recipes)
        except LanguageError as error:
            self.refused(error, name, text)
            return
        for phrase in phrases:
            yield from self.action(phrase, text, name)

    def action(self, phrase: Phrase, text: str, name: str) -> Iterable[Action]:
        on = phrase.clause("on")
        if on is None:
            message = f"{phrase.kind}: on which proxy? write 'on NAME' (or service.NAME)"
            self.wrong(message, name, text)
            return
        form: Form = "recipe" if phrase.kind == "recipe" else "fault"
        if on.startswith("service."):
            form = "container"
        if (form == "container") != (phrase.kind in CONTAINER_KINDS):
            whose = f"containers (on service.NAME) know {', '.join(CONTAINER_KINDS)}"
            self.wrong(f"{phrase.kind} on {on}: {whose}; proxies the kinds of faults", name, text)
            return
        begins, ends = self.window(phrase)
        kept = tuple(
            (key, value)
            for key, value in phrase.clauses
            if key not in ("on", "from", "until", "for", "name")
        )
        yield Action(
            form=form,
            name=self.unique(phrase.clause("name") or _usual(phrase)),
            on=on,
            text=show(replace(phrase, clauses=kept)),
            begins=begins,
            ends=ends,
            line=getattr(text, "line", 0),
        )

    def window(self, phrase: Phrase) -> tuple[Time, Time]:
        begins = phrase.clause("from") or _FAULT
        lasts = phrase.clause("for")
        if lasts is not None:
            return begins, Time(begins.anchor, begins.offset + lasts.value)
        return begins, phrase.clause("until") or _FAULT_END

    def script(self, one: Any) -> Iterable[Action]:
        if not isinstance(one, Block) or "steps" not in one or "on" not in one:
            example = "{on: db, match: statement=UPDATE, steps: 'pass 2, error(deadlock)'}"
            self.wrong(f"scripts are lines such as {example}", "scripts", one)
            return
        self.unknown(one, SCRIPT_NAMES, "a script")
        steps = "\n".join(str(step) for step in as_list(one["steps"]))
        found = {}
        for name, type_, text in (
            ("steps", "script", Text.at(steps, one["steps"].line, one["steps"].column)),
            ("match", "match", one.get("match")),
            ("from", "time", one.get("from")),
            ("until", "time", one.get("until")),
            ("for", "duration", one.get("for")),
        ):
            if text is None:
                continue
            try:
                found[name] = parse(type_, text, kinds=_kinds())
            except LanguageError as error:
                self.refused(error, "scripts", text)
                return
        begins = found.get("from", _FAULT)
        ends = found.get("until", _FAULT_END)
        if "for" in found:
            ends = Time(begins.anchor, begins.offset + found["for"].value)
        yield Action(
            form="script",
            name=self.unique(str(one.get("name", "script"))),
            on=str(one["on"]),
            text=", ".join(show(step) for step in found["steps"]),
            match=show(found["match"]) if "match" in found else "",
            begins=begins,
            ends=ends,
            line=one.line,
        )

    def unique(self, name: str) -> str:
        """The name, numbered if another action bears it."""
        if not _NAME.fullmatch(name):
            self.finding(f"'{name}' cannot be a name", "name", name)
        found, number = name, 1
        while found in self._names:
            number += 1
            found = f"{name}-{number}"
        self._names.add(found)
        return found


def _usual(phrase: Phrase) -> str:
    if phrase.kind == "recipe":
        return str(next((value for _, value in phrase.options), "recipe"))
    return phrase.kind


def _after(prefix: str, text: str) -> str:
    """The text behind a prefix, at its own place."""
    if isinstance(text, Text):
        return Text.at(prefix + text, text.line, max(1, text.column - len(prefix)), text.style)
    return prefix + text


_KINDS: dict[str, OptionTable] = {}


def _kinds() -> Mapping[str, OptionTable]:
    """The option tables of every kind, whatever its protocol: what it can do there, the proxy says.

    Where protocols differ in an option of a kind, the tables are joined.
    """
    if not _KINDS:
        registry = installed()
        for protocol in registry.protocols.values():
            for name, table in registry.kinds(protocol).items():
                known = _KINDS.get(name)
                more = [one for key, one in table.items() if known is None or key not in known]
                _KINDS[name] = OptionTable(*(known.values() if known else ()), *more)
        _KINDS.update((name, kind.options) for name, kind in CONTAINERS.items())
    return _KINDS
