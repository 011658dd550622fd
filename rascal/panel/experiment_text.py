"""What the text of an experiment means, for the editor: findings, the plan, and changes of it.

Runs in the process of rascal.panel.inspecting, because a long text takes its time; runs no code
of scenarios: what their file declares is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.experiment.loading import load_plan
from rascal.experiment.outlook import Outlook, outlook
from rascal.experiment.reading import experiment_of
from rascal.experiment.specification import Check, Experiment
from rascal.experiment.starter import DEFAULTS, Answers
from rascal.experiment.timeline import Timeline, timeline_of
from rascal.language import LanguageError, Objective, parse, parse_option, show
from rascal.load.plan import Plan
from rascal.load.yamltext import Block, place, read_yaml
from rascal.panel.experiment_moves import lasting, moved
from rascal.panel.inspecting import finding
from rascal.panel.load_plan import option_of, points

MANY = 50
"""Findings that are told."""


# ---- in lists


def facts(text: str, path: str) -> dict[str, Any]:
    """What a list of experiments shows of one."""
    try:
        experiment = experiment_of(text, path)
        timeline = timeline_of(experiment)
    except ConfigErrors as errors:
        return {**_rough(text, path), "findings": [finding(one) for one in errors.findings[:MANY]]}
    recipes = [one.name for one in experiment.actions if one.form == "recipe"]
    return {
        "name": experiment.name,
        "target": experiment.target,
        "scenarios": experiment.scenarios,
        "recipes": recipes,
        "faults": [f"{one.text} on {one.on}" for one in experiment.actions],
        "seconds": timeline.ends,
        "phases": _phases(timeline),
        "windows": [[one.begins, one.ends] for one in timeline.windows],
        "expect": str(experiment.expect or ""),
        "findings": [],
    }


def _rough(text: str, path: str) -> dict[str, Any]:
    """The name and target of a file that is not whole."""
    try:
        found = read_yaml(text, path)
    except ConfigErrors:
        found = None
    values = found if isinstance(found, Block) else {}
    named = {name: values.get(name) for name in ("name", "target")}
    load = values.get("load")
    return {
        "name": str(named["name"] or Path(path).stem),
        "target": str(named["target"]) if isinstance(named["target"], str) else "",
        "scenarios": _scenarios_of(load),
    }


def _scenarios_of(load: Any) -> str:
    named = load.get("scenarios") if isinstance(load, Block) else None
    return str(named) if isinstance(named, str) else ""


# ---- while it is written


def check(
    text: str,
    path: str,
    scenarios: Mapping[str, Any] | None = None,
    nodes: Mapping[str, str] | None = None,
    proxies: Mapping[str, Any] | None = None,
    allow: list[str] | None = None,
) -> dict[str, Any]:
    """Everything that is wrong with it, and the plan as far as it can be told.

    Args:
        text, path: the file.
        scenarios: {"file", "scenarios", "parameters", "findings"} of the file that its load names.
        nodes: the panel's, for an experiment that names none.
        proxies: those that are known now, None if nobody could be asked.
        allow: hosts that load may be sent to.
    """
    try:
        experiment = experiment_of(text, path)
        timeline = timeline_of(experiment)
    except ConfigErrors as errors:
        rough = _rough(text, path)
        found = [finding(one) for one in errors.findings[:MANY]]
        return {"findings": found, "scenarios": rough["scenarios"], "plan": None}
    except ConfigError as error:
        return {"findings": [finding(error)], "scenarios": "", "plan": None}
    if nodes and "nodes" not in _top(text, path):
        experiment = attrs.evolve(experiment, nodes=dict(nodes))
    wanted = experiment.scenarios
    ours = set(experiment.nodes.values()) <= set((nodes or {}).values())
    findings = list(_unknown_proxies(experiment, proxies if ours else None, path))
    plan: Plan | None = None
    ahead: Outlook | None = None
    known = scenarios if scenarios and scenarios["file"] == wanted else None
    if known is not None and known.get("scenarios"):
        findings += _options(experiment, known, path)
        try:
            plan = load_plan(experiment, timeline, tuple(known["scenarios"]), wanted, allow or ())
        except ConfigErrors as errors:
            findings += errors.findings
        else:
            weights = {name: float(one["weight"]) for name, one in known["scenarios"].items()}
            ahead = outlook(experiment, timeline, plan, weights)
            line = place(_top(text, path).get("faults")).get("line")
            findings += [ConfigError(one, path=path, line=line) for one in ahead.problems]
    return {
        "findings": [finding(one) for one in findings[:MANY]],
        "scenarios": wanted,
        "plan": _plan(experiment, timeline, plan, ahead),
    }


def _top(text: str, path: str) -> Mapping[str, Any]:
    found = read_yaml(text, path)
    return found if isinstance(found, Block) else {}


def _unknown_proxies(
    experiment: Experiment, proxies: Mapping[str, Any] | None, path: str
) -> Iterator[ConfigError]:
    if proxies is None:
        return
    for one in experiment.actions:
        if not one.service and one.on not in proxies:
            known = ", ".join(proxies) or "none"
            yield ConfigError(
                f"there is no proxy '{one.on}'; proxies: {known}.{did_you_mean(one.on, proxies)}",
                path=path, line=one.line or None, option="on", code="unknown-proxy",
            )  # fmt: skip


def _options(experiment: Experiment, known: Mapping[str, Any], path: str) -> Iterator[ConfigError]:
    """Values of the scenario file's options."""
    given = experiment.load.get("options")
    given = given if isinstance(given, Mapping) else {}
    declared = {one["name"]: one for one in known.get("parameters", ())}
    for name, value in given.items():
        one = declared.get(name)
        where = place(value) or place(name)
        if one is None:
            text = (
                f"{known['file']} has no option '{name}'; options: {', '.join(declared) or 'none'}."
            )
            yield ConfigError(text + did_you_mean(name, declared), path=path, **place(name))
            continue
        try:
            parse_option(option_of(one), str(value))
        except LanguageError as error:
            yield ConfigError(f"option '{name}': {error.message}", path=path, **where)
    missing = [name for name, one in declared.items() if one["required"] and name not in given]
    for name in missing:
        text = f"option '{name}' of {known['file']} needs a value: load: {{options: {{{name}: …}}}}"
        yield ConfigError(text, path=path, line=getattr(experiment.load, "line", 0) or None)


# ---- the plan


def _phases(timeline: Timeline) -> dict[str, list[float]]:
    return {name: list(window) for name, window in timeline.phases.items()}


def _plan(
    experiment: Experiment, timeline: Timeline, plan: Plan | None, ahead: Outlook | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": experiment.name,
        "target": experiment.target,
        "seconds": timeline.ends,
        "phases": _phases(timeline),
        "faults": [
            {
                "index": index,
                "name": one.action.name,
                "on": one.action.on,
                "form": one.action.form,
                "text": one.action.text
                + (f" match {one.action.match}" if one.action.match else ""),
                "begins": one.begins,
                "ends": one.ends,
                "line": one.action.line,
            }
            for index, one in enumerate(timeline.windows)
        ],
        "holds": [list(one) for one in _holds(experiment)],
        "load": [],
        "top": 0.0,
    }
    if plan is not None:
        found |= _load(plan, timeline)
        found["timeout"] = plan.timeout
    if ahead is not None:
        found |= {
            "rate": ahead.rate,
            "cautions": list(ahead.cautions),
            "long_enough": ahead.long_enough and not ahead.problems,
            "streams": [one.json() for one in ahead.streams],
        }
    return found


def _load(plan: Plan, timeline: Timeline) -> dict[str, Any]:
    found = points([share.profile for share in plan.shares], timeline.ends)
    return {"load": found, "top": max((level for _, level in found), default=0.0)}


def _holds(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """What must hold, and what is hoped for."""
    if experiment.uses is not None:
        for one, flows in experiment.uses.items():
            yield f"uses {one}", ", ".join(flows)
    elif experiment.learn:
        yield "uses", "learned before the load starts, by one user who tries all"
    for check_ in experiment.invariants:
        yield "invariant", f"{check_.name}: {_asks(check_)}"
    for objective in experiment.objectives:
        yield "objective", show(objective)
    for rule in experiment.stop:
        yield "stops if", show(rule) if isinstance(rule, Objective) else f"not {_asks(rule)}"
    if experiment.expect is not None:
        better = "" if experiment.expect.exactly else ", or better"
        yield "expected", f"{experiment.expect}{better}"


def _asks(one: Check) -> str:
    wanted = one.test.replace("_", " ") + (f" {one.value}" if one.value else "")
    path = f" {one.json}" if one.json else ""
    return f"{one.way} {one.ask}{path} {wanted}"


# ---- a file to begin with


def starter(file: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The text of a short form; raises ConfigErrors with the names of its fields."""
    values = {**DEFAULTS, **{name: str(one).strip() for name, one in given.items() if one}}
    findings = [
        ConfigError(f"{name} is one line", option=name)
        for name, value in values.items()
        if any(c in value for c in "\r\n\0")
    ]
    try:
        parse("profile", f"hold {values['rate']}")
    except LanguageError as error:
        findings.append(ConfigError(error.message, option="rate"))
    if findings:
        raise ConfigErrors(findings)
    text = Answers(**values).text(file)
    try:
        experiment_of(text, file)
    except ConfigErrors as errors:
        fields = {"faults": "fault", "load": "scenarios", "main": "node", "on": "fault"}
        raise ConfigErrors(
            [
                ConfigError(one.message, option=fields.get(one.option or "", one.option))
                for one in errors.findings
            ]
        ) from None
    return {"text": text}


ANSWERS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "facts": facts,
    "check": check,
    "moved": moved,
    "lasting": lasting,
    "starter": starter,
}
"""What may be asked of the process."""
