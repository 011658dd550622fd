"""What people may wish of a load run: its options, and how wishes are read, each with its place.

The tables are the one source of names, types, bounds and help of plans and profiles. `Wishes`
reads values (texts in the language, lists, mappings) and collects every finding, with file, line
and column where the value has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rascal.errors import ConfigError, did_you_mean
from rascal.language import LanguageError, parse, parse_option, plain
from rascal.load.yamltext import Text, place
from rascal.options import Option, OptionTable

PLAN = OptionTable(
    Option("name", "text", "What the run is called in lists"),
    Option("target", "text", "Base URL, such as http://127.0.0.1:8080"),
    Option("seed", "count", "Of all draws: arrivals, picks, think times", 0),
    Option("timeout", "duration", "Of a whole request", 30.0, minimum=0.001, maximum=3600.0),
    Option("connect_timeout", "duration", "Of connecting", 5.0, minimum=0.001, maximum=3600.0),
    Option(
        "connections", ("shared", "user", "none"), "Pool of all, one of each user, none", "shared"
    ),
    Option("verify", "flag", "Check the target's TLS certificate", True),
    Option("resend", "flag", "Repeat a request lost with a kept connection", True),
    Option(
        "max_time", "duration", "Hard end of the run", 86_400.0, minimum=0.001, maximum=2_592_000.0
    ),
    Option("max_requests", "positive", "Hard end in requests, over all agents", 1_000_000_000),
    Option("loss", ("redistribute", "continue", "abort"), "If an agent is lost", "redistribute"),
)
"""The options of a plan that are one value each."""

SHARE = OptionTable(
    Option("spacing", ("poisson", "even"), "Of arrivals", "poisson"),
    Option("max_in_flight", "positive", "Iterations under way over all agents", 10_000),
    Option("replay", "text", "Arrival log that drives the load instead of a profile"),
)
"""The options of a profile; at the top they hold for all profiles."""

LOAD = ("profile", "profiles", "rate", "users", "replay")
"""How much load: who says one of these on the command line replaces those of the file."""
LISTS = ("only", "objectives", "stop", "labels", "dependencies", "allow")
MAPPINGS = ("options", "headers")
NAMES = ("scenarios", *LISTS[:-1], *LOAD, "for", *MAPPINGS, *PLAN, "spacing", "max_in_flight")
"""What may stand in a load file."""

HOW_MUCH = (
    "how much load? write rate 200/s and for 60s, or users 50 and for 60s, or a profile such as "
    "'ramp 0..200/s for 30s, hold 200/s for 5m'"
)


class Wishes:
    """Collects findings while it reads."""

    def __init__(self, values: Mapping[str, Any], known: tuple[str, ...], path: str | None) -> None:
        self.values = values
        self.known = known
        self.path = path
        self.findings: list[ConfigError] = []

    # ---- one value, a list, a mapping

    def given(self, name: str) -> bool:
        return self.values.get(name) is not None

    def wrong(self, message: str, name: str, value: Any = None, code: str = "not-allowed") -> None:
        """A finding about `values[name]`, at `value` if that has a place."""
        value = self.values.get(name) if value is None else value
        where = place(value)
        path = self.path if where or (self.path and name not in self.values) else None
        self.findings.append(
            ConfigError(message, path=path, option=name, value=value, code=code, **where)
        )

    def refused(self, error: LanguageError, name: str, text: Any) -> None:
        """A finding of the language, moved to the place of its text."""
        error.option = name
        if isinstance(text, Text):
            error.path = self.path
            block = text.style in ("|", ">")
            error.line = text.line + error.row - 1 + block
            if block or error.row > 1:
                error.column = None
            else:
                error.column = text.column + bool(text.style) + (error.column or 1) - 1
        self.findings.append(error)

    def read(self, type_: Any, text: Any, name: str) -> Any:
        """A text read as a type of the language; None with a finding if it cannot be."""
        if not isinstance(text, str):
            self.wrong(f"{name} is a text, found {kind_of(text)}", name, text)
            return None
        try:
            if isinstance(type_, Option):
                return parse_option(type_, text)
            return parse(type_, text)
        except LanguageError as error:
            self.refused(error, name, text)
            return None

    def option(self, option: Option, values: Mapping[str, Any] | None = None) -> Any:
        """The plain value of an option."""
        value = (self.values if values is None else values).get(option.name)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, int) and option.type in ("count", "positive"):
            value = str(value)
        found = self.read(option, value, option.name)
        return plain(found) if found is not None else option.default

    def texts(self, name: str) -> tuple[str, ...]:
        found = []
        for item in as_list(self.values.get(name)):
            if isinstance(item, str) and item.strip():
                found.append(str(item).strip())
            else:
                self.wrong(f"{name} is a list of texts, found {kind_of(item)}", name, item)
        return tuple(dict.fromkeys(found))

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.wrong(f"{name} are 'name: value' lines, found {kind_of(value)}", name)
            return {}
        found: dict[str, Any] = {}
        for key, given in value.items():
            if isinstance(given, Mapping | list | tuple) or given is None:
                self.wrong(f"'{key}' in {name} is a text, found {kind_of(given)}", name, key)
            else:
                found[str(key)] = str(given) if isinstance(given, str) else given
        return found

    def scenario_names(self, names: Iterable[str], name: str, at: Any = None) -> tuple[str, ...]:
        found = []
        for one in names:
            if one in self.known:
                found.append(one)
                continue
            known = ", ".join(self.known) or "none"
            self.wrong(
                f"there is no scenario '{one}'; scenarios: {known}.{did_you_mean(one, self.known)}",
                name,
                at,
                "unknown-name",
            )
        return tuple(found)


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def alike(given: Any, text: str) -> str:
    """The text with the place of what was given."""
    if isinstance(given, Text):
        return Text.at(text, given.line, given.column, given.style)
    return text


def kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "lines with names"
    if isinstance(value, list | tuple):
        return "a list"
    return f"'{value}'"
