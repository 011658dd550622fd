"""An experiment as JUnit XML: the expectation, objectives, invariants, and whether it is sound.

It fails here exactly when its exit status is not 0. A verdict that was not expected is a failure; a
run that proves nothing, or cannot tell, is an error of the run: nobody knows about the target.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from rascal.experiment.outputs.gathered import Gathered
from rascal.experiment.outputs.headline import certainty, expected, measured
from rascal.experiment.outputs.soundness import checks
from rascal.load.masking import mask_url
from rascal.load.outputs.junit import clean
from rascal.report.words import value_text


def junit(it: Gathered) -> str:
    """The document."""
    name = clean(it.name)
    root = ElementTree.Element("testsuites", name=f"rascal experiment {name}")
    _expectation(_suite(root, it, "expectation"), it)
    if it.objectives:
        _objectives(_suite(root, it, "objectives"), it)
    if it.kept.invariants:
        _invariants(_suite(root, it, "invariants"), it)
    _validity(_suite(root, it, "validity"), it)
    for suite in root:
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        for kind in ("failure", "error"):
            count = sum(case.find(kind) is not None for case in cases)
            suite.set(f"{kind}s", str(count))
    for word in ("tests", "failures", "errors"):
        root.set(word, str(sum(int(suite.get(word, "0")) for suite in root)))
    root.set("time", f"{it.end:.3f}")
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"{ElementTree.tostring(root, encoding='unicode')}\n"
    )


def _suite(root: ElementTree.Element, it: Gathered, what: str) -> ElementTree.Element:
    run = it.load.run
    suite = ElementTree.SubElement(root, "testsuite", name=clean(f"{it.name}: {what}"), skipped="0")
    suite.set("time", f"{it.end:.3f}")
    if run.started is not None:
        moment = datetime.fromtimestamp(run.started, UTC)
        suite.set("timestamp", moment.strftime("%Y-%m-%dT%H:%M:%S"))
    if run.host:
        suite.set("hostname", clean(run.host))
    properties = ElementTree.SubElement(suite, "properties")
    facts = {
        "run": run.id,
        "verdict": it.word,
        "certainty": certainty(it),
        "expected": it.kept.expect,
        "target": mask_url(str(run.plan.get("target") or "")),
        "seed": str(run.seed),
        "status": str(it.status),
        **{f"version of {name}": str(one) for name, one in run.versions.items()},
    }
    for key, value in facts.items():
        if value not in ("", "None"):
            ElementTree.SubElement(properties, "property", name=key, value=clean(value))
    return suite


def _case(
    suite: ElementTree.Element, it: Gathered, group: str, name: str, time: float = 0.0
) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite,
        "testcase",
        classname=clean(f"{it.name}.{group}"),
        name=clean(name),
        time=f"{time:.3f}",
    )


def _wrong(case: ElementTree.Element, kind: str, type_: str, message: str, text: str) -> None:
    found = ElementTree.SubElement(case, kind, type=type_, message=clean(message))
    found.text = clean(text)


def _expectation(suite: ElementTree.Element, it: Gathered) -> None:
    name = f"the verdict is {expected(it)}" if it.expect else "there is a verdict"
    case = _case(suite, it, "expectation", name, it.end)
    text = "\n".join(one for one in (it.told, it.doubt) if one)
    if it.verdict is None:
        _wrong(case, "error", "ended early", it.why or "it was ended early", text)
        return
    missed = any(not one.kept for one in it.objectives)
    if it.status == 1 and (it.met == "no" or not missed):
        _wrong(case, "failure", it.word, f"{it.word} ({certainty(it)})", text)
    elif it.status not in (0, 1):
        reason = "proves nothing" if it.word == "invalid" else "cannot tell"
        _wrong(case, "error", reason, f"{it.word}: {certainty(it)}", text)
    else:
        ElementTree.SubElement(case, "system-out").text = clean(text)


def _objectives(suite: ElementTree.Element, it: Gathered) -> None:
    for one in it.objectives:
        case = _case(suite, it, "objectives", one.text)
        found = measured(one)
        if not one.kept:
            message = f"measured {found}, the limit is {value_text(one.type, one.limit)}"
            text = f"{one.text}\n{one.why or message}"
            # Of a run that proves nothing, so does this.
            kind = "failure" if it.status == 1 else "error"
            if it.status:
                _wrong(case, kind, "objective", message, text)
                continue
        ElementTree.SubElement(case, "system-out").text = clean(f"measured {found}")


def _invariants(suite: ElementTree.Element, it: Gathered) -> None:
    for one in it.kept.invariants:
        case = _case(suite, it, "invariants", one.name)
        if one.before and one.after:
            continue
        when = "after the fault" if one.before else "before the fault"
        text = f"{one.name} does not hold {when}" + (f": {one.found}" if one.found else "")
        if it.status:
            _wrong(case, "failure", "invariant", text, text)
        else:  # that was expected
            ElementTree.SubElement(case, "system-out").text = clean(text)


def _validity(suite: ElementTree.Element, it: Gathered) -> None:
    for check in checks(it):
        case = _case(suite, it, "validity", check.name)
        if check.good or not it.status:
            ElementTree.SubElement(case, "system-out").text = clean(check.text)
        else:
            _wrong(case, "error", "invalid", check.text, f"{check.name}: no\n{check.text}")
