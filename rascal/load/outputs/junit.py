"""A run as JUnit XML, as CI systems read it: a test case for each check and each objective.

The first suite asks whether the run proves anything, the second whether the target did what it
should. A failure says the measured value, the limit, and when. The run fails here exactly when its
exit status is not 0; what is worth a warning only passes, and says so in its output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from rascal.load.masking import mask_url
from rascal.load.outputs.checks import Check, checks, limit_text, measured_text, where_text
from rascal.load.outputs.gathered import Gathered

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def junit(it: Gathered) -> str:
    """The document."""
    name = clean(it.run.name or str(it.run.plan.get("file") or "load"))
    root = ElementTree.Element("testsuites", name=f"rascal load {name}")
    validity = _suite(root, it, f"{name}: validity")
    for check in checks(it):
        _check(validity, name, check)
    states = it.summary.get("objectives") or ()
    if states:
        objectives = _suite(root, it, f"{name}: objectives")
        for state in states:
            _objective(objectives, name, state, it.seconds)
    for suite in root:
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    for word in ("tests", "failures"):
        root.set(word, str(sum(int(suite.get(word, "0")) for suite in root)))
    root.set("time", f"{it.seconds:.3f}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(root: ElementTree.Element, it: Gathered, name: str) -> ElementTree.Element:
    suite = ElementTree.SubElement(root, "testsuite", name=name, errors="0", skipped="0")
    suite.set("time", f"{it.seconds:.3f}")
    if it.run.started is not None:
        moment = datetime.fromtimestamp(it.run.started, UTC)
        suite.set("timestamp", moment.strftime("%Y-%m-%dT%H:%M:%S"))
    if it.run.host:
        suite.set("hostname", clean(it.run.host))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _facts(it).items():
        if value not in ("", "None"):
            ElementTree.SubElement(properties, "property", name=key, value=clean(value))
    return suite


def _facts(it: Gathered) -> dict[str, str]:
    load = it.summary.get("load") or ()
    return {
        "run": it.run.id,
        "target": mask_url(str(it.run.plan.get("target") or "")),
        "load": "; ".join(str(one.get("profile")) for one in load),
        "seed": str(it.run.seed),
        "outcome": it.run.outcome,
        "status": str(it.run.status),
        **{f"version of {name}": str(one) for name, one in it.run.versions.items()},
        "command": str(it.run.about.get("command") or ""),
    }


def _case(suite: ElementTree.Element, group: str, name: str, time: float) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=group, name=clean(name), time=f"{time:.3f}"
    )


def _fail(case: ElementTree.Element, kind: str, message: str, text: str) -> None:
    failure = ElementTree.SubElement(case, "failure", type=kind, message=clean(message))
    failure.text = clean(text)


def _check(suite: ElementTree.Element, name: str, check: Check) -> None:
    case = _case(suite, f"{name}.validity", check.name, 0.0)
    if check.good:
        return
    if check.fatal:
        _fail(case, "invalid", check.text, f"{check.name}: no\n{check.text}")
    else:
        ElementTree.SubElement(case, "system-out").text = clean(f"warning: {check.text}")


def _objective(
    suite: ElementTree.Element, name: str, state: Mapping[str, Any], seconds: float
) -> None:
    case = _case(suite, f"{name}.objectives", str(state.get("text", "")), seconds)
    measured, limit = measured_text(state), limit_text(state)
    where, why = where_text(state, seconds), str(state.get("why") or "")
    if state.get("kept"):
        found = ElementTree.SubElement(case, "system-out")
        found.text = clean(f"measured {measured}, limit {limit}, {where}")
        return
    message = f"{measured}, limit {limit}, {where}" if measured != "-" else why
    lines = [f"measured: {measured}", f"limit: {limit}", f"when: {where}"]
    lines += [f"why: {why}"] if why else []
    _fail(case, "objective", message, "\n".join(lines))


def clean(text: str) -> str:
    """Without what XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)
