"""An experiment as a few lines of Markdown: for a pull request, or a job's summary."""

from __future__ import annotations

import re

from rascal.experiment.outputs.gathered import Gathered
from rascal.experiment.outputs.headline import certainty, expected, kept_text, measured
from rascal.report.words import share_text

PLACEHOLDER = "REPORT_URL"
"""Stands where the address of the report goes, for CI to replace."""
_SIGNS = {0: "✅", 1: "❌", None: "❌"}
FLOWS = 12


def markdown(it: Gathered, link: str = PLACEHOLDER) -> str:
    """The text."""
    sign = _SIGNS.get(it.status, "⚠️")
    lines = [f"### {sign} {escape(it.name)}: {it.word}", ""]
    hoped = f" Expected: {expected(it)}." if it.expect is not None else ""
    sure = "" if it.verdict is None or it.verdict.sure else f" Verdict {certainty(it)}."
    lines += [f"{escape(it.told)}{hoped}{sure}", ""]
    if it.doubt:
        lines += [f"> {escape(it.doubt)}", ""]
    if it.verdict is None and it.why and it.why not in it.told:
        lines += [f"Why it was ended: {escape(it.why)}.", ""]
    lines += [*_flows(it), *_missed(it)]
    run = it.load.run
    about = f"Run {run.id}, seed {run.seed}."
    lines.append(f"[The whole report]({_link(link)}). {about}")
    return "\n".join(lines) + "\n"


def _flows(it: Gathered) -> list[str]:
    if it.verdict is None or not it.verdict.flows:
        return []
    mapped = it.verdict.mapped
    rows = ["| flow | uses it | kept | failures: quick no, bad | slow | well again after |",
            "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for one in it.verdict.flows[:FLOWS]:
        uses = ("yes" if one.uses else "no") if mapped else "?"
        cells = (
            escape(one.name),
            uses,
            kept_text(one.kept),
            f"{one.honest:,}, {one.dishonest:,}",
            share_text(one.slow),
            f"{one.time_to_recover} s",
        )
        rows.append(f"| {' | '.join(cells)} |")
    left = len(it.verdict.flows) - FLOWS
    if left > 0:
        rows += ["", f"{left} more flows are in the report."]
    return [*rows, ""]


def _missed(it: Gathered) -> list[str]:
    found = [
        f"- ✗ `{_code(one.text)}`: {one.why or measured(one)}"
        for one in it.objectives
        if not one.kept
    ]
    found += [
        f"- ✗ {escape(one.name)} does not hold: {escape(one.found)}".removesuffix(": ")
        for one in it.kept.invariants
        if not one.after
    ]
    return [*found, ""] if found else []


def escape(text: str) -> str:
    """Names may hold anything; none of it is markup, mentions nobody, and stays in its cell."""
    text = re.sub(r"\s+", " ", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", text)
    return re.sub(r"@(?=\w)", "@\u200b", text)


def _code(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("`", "'").replace("|", "\\|")


def _link(link: str) -> str:
    return re.sub(r"[\s()<>]", lambda one: f"%{ord(one[0]):02X}", link)
