"""Plans made of what people write: command-line values, a load file in YAML, plain mappings.

    values = merged(read_load_file("evening.yml"), {"rate": "50/s", "for": "10s"})
    plan = plan_of(values, scenarios=("browse", "buy"))

A load file holds the same names as the command line (`_` for `-`):

    scenarios: shop.py
    target: http://127.0.0.1:8080
    profiles:
      browse: ramp 0..80/s for 30s, hold 80/s for 5m
      buy: {profile: hold 20/s for 5m30s, spacing: even, max_in_flight: 500}
    objectives: ['p95(checkout) < 300ms']
    stop: ['failed > 50% for 10s']

`allow` is not among them: whoever sends the load allows its target, not who wrote the file.
There is no default load: a run whose size nobody said is an error that says what to write.
JSON, both ways, is `plans_json`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.language import LanguageError, Objective, parse
from rascal.load.measures import objective_problem
from rascal.load.plan import Plan, Share
from rascal.load.sharing import LoadWishes
from rascal.load.targets import Targets, target_problems
from rascal.load.wishes import HOW_MUCH, LISTS, LOAD, MAPPINGS, NAMES, PLAN, as_list
from rascal.load.yamltext import place, read_yaml

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def read_load_file(path: str) -> dict[str, Any]:
    """The values of a load file, each with its place; raises ConfigErrors."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigErrors([ConfigError(f"cannot be read: {why}", path=path)]) from error
    return load_values(text, path)


def load_values(text: str, path: str) -> dict[str, Any]:
    """The values of the text of a load file; only names that are known."""
    found = read_yaml(text, path)
    if found is None:
        raise ConfigErrors([ConfigError(f"the file is empty: {HOW_MUCH}", path=path)])
    if not isinstance(found, dict):
        raise ConfigErrors([ConfigError("a load file is a list of 'name: value' lines", path=path)])
    check_names(found, path)
    return found


def check_names(values: Mapping[str, Any], path: str | None = None) -> None:
    """Refuse names that mean nothing, and `allow`, which is no file's business."""
    findings = []
    for name in values:
        if name == "allow":
            message = (
                "'allow' does not stand in a file: who sends the load allows its target, "
                "with --allow HOST or [agent] targets"
            )
        elif name not in NAMES:
            allowed = ", ".join(sorted(NAMES))
            message = f"'{name}' is not known here; names: {allowed}.{did_you_mean(name, NAMES)}"
        else:
            continue
        findings.append(
            ConfigError(
                message, path=path, option=str(name), allowed=sorted(NAMES),
                code="unknown-name", **place(name),
            )
        )  # fmt: skip
    if findings:
        raise ConfigErrors(findings)


def merged(file: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values with those of the command line over them.

    Lists add up (`only` is replaced), mappings are overlaid, and who says how much load on the
    command line replaces all that the file says about it.
    """
    given = {name: value for name, value in given.items() if value not in (None, (), [], {})}
    found = dict(file)
    if any(name in given for name in LOAD):
        for name in (*LOAD, "for"):
            found.pop(name, None)
    for name, value in given.items():
        if name in LISTS and name != "only" and name in found:
            found[name] = [*as_list(found[name]), *as_list(value)]
        elif name in MAPPINGS and isinstance(found.get(name), Mapping):
            found[name] = {**found[name], **value}
        else:
            found[name] = value
    return found


def plan_of(
    values: Mapping[str, Any],
    *,
    scenarios: Sequence[str],
    file: str = "",
    path: str | None = None,
) -> Plan:
    """Make a plan; every finding at once, as ConfigErrors.

    Args:
        values: by the names of this module, texts in the language (or lists and mappings).
        scenarios: the names of the scenarios that the scenario file has, in its order.
        file: the scenario file as the bundle calls it; default `values["scenarios"]`.
        path: the load file, for messages; values that bring no place of their own stand
            on the command line.
    """
    return _Planner(values, tuple(scenarios), path).plan(file)


class _Planner(LoadWishes):
    """Collects findings while it reads a plan."""

    def plan(self, file: str) -> Plan:
        single = {name: self.option(PLAN[name]) for name in PLAN if self.given(name)}
        shares = self.shares()
        target = single.pop("target", None)
        if target is not None:
            self.check_target(target)
        else:
            self.wrong("which target? write its base URL, such as http://127.0.0.1:8080", "target")
        lists = {name: self.texts(name) for name in ("labels", "dependencies", "allow")}
        try:
            Targets(lists["allow"])
        except ConfigErrors as errors:
            self.findings += errors.findings
        found = {
            "file": file or str(self.values.get("scenarios") or ""),
            "target": str(target or "").rstrip("/"),
            "shares": shares,
            "options": self.mapping("options"),
            "headers": self.headers(),
            "objectives": self.conditions("objectives"),
            "stop": self.conditions("stop"),
            **lists,
            **single,
        }
        if self.findings:
            raise ConfigErrors(self.findings)
        return Plan(**found)

    def headers(self) -> dict[str, str]:
        found = {name: str(value) for name, value in self.mapping("headers").items()}
        for name, value in found.items():
            if not _TOKEN.fullmatch(name):
                self.wrong(f"'{name}' cannot be the name of a header", "headers")
            if any(c in value for c in "\r\n\0"):
                self.wrong(f"the header {name} is one line", "headers")
        return found

    def conditions(self, name: str) -> tuple[Objective, ...]:
        """Objectives, or stop rules."""
        found = []
        for text in as_list(self.values.get(name)):
            if isinstance(text, Objective):
                found.append(text)
                continue
            read = self.read("objective", text, name)
            if read is None:
                continue
            problem = objective_problem(read)
            if problem:
                self.wrong(problem, name, text)
            if name == "stop" and "over" in dict(read.tail):
                self.wrong("a stop rule says for how long: 'for 10s' instead of 'over'", name, text)
            found.append(read)
        return tuple(found)

    def check_target(self, target: str) -> None:
        for problem in target_problems(target):
            self.wrong(problem, "target")


def with_profiles(shares: Sequence[Share], profiles: Mapping[str, str]) -> tuple[Share, ...]:
    """The shares with other profiles; "" names the only share. Raises ConfigErrors."""
    changed = list(shares)
    findings = []
    for name, text in profiles.items():
        places = [
            index
            for index, share in enumerate(changed)
            if name in share.scenarios or (not name and len(changed) == 1)
        ]
        if not places:
            known = ", ".join(one for share in changed for one in share.scenarios)
            findings.append(
                ConfigError(
                    f"whose profile? write its scenario's name; scenarios: {known}"
                    if not name
                    else f"there is no scenario '{name}' in this run; scenarios: {known}"
                )
            )
            continue
        try:
            profile = parse("profile", text)
        except LanguageError as error:
            findings.append(error)
            continue
        changed[places[0]] = attrs.evolve(changed[places[0]], profile=profile, replay="")
    if findings:
        raise ConfigErrors(findings)
    return tuple(changed)
