"""A verdict in words: one sentence that a manager can read, and what would settle a doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rascal.experiment.judge import FlowResult, Rule, Verdict
from rascal.experiment.record import Record
from rascal.experiment.statistics import NO, UNSURE, YES, Finding


def sentence(verdict: Verdict, record: Record) -> str:
    """The verdict in one or two sentences."""
    told = _TELLERS[verdict.word](verdict, record)
    if not verdict.mapped and verdict.word not in ("invalid", "corrupt"):
        told += (
            " Which flows use the dependency is not known, so damage to others could not be looked "
            "for."
        )
    return f"{told} {doubt(verdict)}".strip()


def doubt(verdict: Verdict) -> str:
    """What an unsure verdict cannot tell apart, and what would; empty if it is sure."""
    if verdict.sure:
        return ""
    other = next(word for word in verdict.between if word != verdict.word)
    first, second = sorted((verdict.word, other), key=verdict.between.index)
    findings = [one for rule in verdict.rules for one in rule.findings if one.answer == UNSURE]
    text = f"This run cannot tell {first} from {second}"
    if findings:
        text += f": {findings[0].question}, from {findings[0].calls:,} calls"
    return f"{text}. {advice(verdict)}"


def advice(verdict: Verdict) -> str:
    """What would settle it, from how far the interval has to shrink."""
    spans = [
        _factor(one) for rule in verdict.rules for one in rule.findings if one.answer == UNSURE
    ]
    factor = min(9.0, max((span for span in spans if span), default=2.0))
    first, last = verdict.windows["fault"]
    before, after = verdict.windows["baseline"]
    more = max(10, round((factor - 1) * (last - first) / 5) * 5)
    base = max(10, round((factor - 1) * (after - before) / 5) * 5)
    return f"{base} s more of baseline and {more} s more of fault would, or 3 repeats."


def _factor(finding: Finding) -> float:
    """How many times as many calls: the interval shrinks with their root."""
    part, low, high, limit = finding.part, finding.low, finding.high, finding.limit
    if part is None or low is None or high is None or limit is None or part == limit:
        return 0.0
    reach = (part - low) if part > limit else (high - part)
    return (reach / abs(part - limit)) ** 2


def _invalid(verdict: Verdict, record: Record) -> str:
    return f"This run proves nothing: {_joined(verdict.reasons)}."


def _corrupt(verdict: Verdict, record: Record) -> str:
    reasons = _joined(verdict.reasons)
    return f"The data is wrong: {reasons}. Everything else is second to that."


def _stuck(verdict: Verdict, record: Record) -> str:
    flow = _worst(verdict, ("stuck",))
    left = verdict.windows["tail"][1] - verdict.windows["fault"][1]
    fault = record.faults[-1].name
    name = flow.name if flow else "It"
    if verdict.kind == "broken":
        return (
            f"{name} does not come back, even with almost no load. Something must be restarted or "
            "repaired."
        )
    if verdict.kind == "overloaded":
        carries = verdict.carries
        works = f", where it serves {carries:.0%} of its calls" if carries is not None else ""
        return (
            f"{name} does not carry its old load any more: it clears at 10 % and fails again at "
            f"full load{works}. The fault cost it capacity."
        )
    kept = 1 - flow.residual[0] if flow else 0.0
    text = (
        f"{name} is stuck: {left} s after {fault} ended it keeps {kept:.0%} of its goodput at the "
        "same load"
    )
    if verdict.kind == "metastable":
        loop = (
            f" ({verdict.amplification:.1f} × more work per call)" if verdict.amplification else ""
        )
        return (
            f"{text}. With the load cut to 10 % it cleared, and stayed well when the load came "
            f"back: it keeps itself down{loop}."
        )
    return f"{text}, within the {left} s watched. It was not probed."


def _cascading(verdict: Verdict, record: Record) -> str:
    flow = _worst(verdict, ("cascading",))
    dependency = ", ".join(sorted({fault.dependency for fault in record.faults}))
    if flow is None:
        return "The damage spread."
    part, low, high = flow.kept
    if part >= 0.95:  # it was a dip of some seconds
        dip = next(one for one in _yes(verdict, "cascading") if one.flow == flow.name)
        return (
            f"The damage spread: {flow.name} does not use {dependency}, and yet "
            f"{dip.question.removeprefix(flow.name).strip()}."
        )
    return (
        f"The damage spread: {flow.name} does not use {dependency}, and yet lost {1 - part:.0%} of "
        f"its goodput ({max(0.0, 1 - high):.0%} to {1 - low:.0%})."
    )


def _degraded(verdict: Verdict, record: Record) -> str:
    honesty = next(
        (one for one in _findings(verdict, "degraded") if "dishonest" in one.question), None
    )
    recover = max((flow.time_to_recover for flow in verdict.flows), default=0)
    lies = honesty.question.split(" failures", 1)[0] if honesty else "many"
    return (
        f"It came back after {recover} s, but failed badly: {lies} failures were hangs, resets or "
        "late answers instead of a quick no."
    )


def _graceful(verdict: Verdict, record: Record) -> str:
    lost = [one for one in _yes(verdict, "graceful") if "of its goodput" in one.question]
    flow = _worst(verdict, ("graceful",))
    if not lost or flow is None:
        slow = max((one.slow for one in verdict.flows), default=0.0)
        reduced = sum(one.reduced for one in verdict.flows)
        more = f"{reduced:,} of them were reduced service" if reduced and slow < 0.05 else (
            f"{slow:.0%} of {_named(verdict)} took over twice the usual p95"
        )  # fmt: skip
        return f"It gave up what it had to, and said so: every call was served, but {more}."
    failures = flow.honest + flow.dishonest
    honest = flow.honest / failures if failures else 1.0
    others = min((one.kept[0] for one in verdict.flows if not one.uses), default=None)
    kept = f", the others kept {min(1.0, others):.0%}" if others is not None else ""
    recover = max((one.time_to_recover for one in verdict.flows), default=0)
    return (
        f"It gave up what it had to, and said so: {flow.name} kept {flow.kept[0]:.0%}, "
        f"{honest:.0%} of its failures were quick and explicit{kept}, and all was well {recover} s "
        "after the fault ended."
    )


def _named(verdict: Verdict) -> str:
    slowest = max(verdict.flows, key=lambda one: one.slow)
    return f"those of {slowest.name}"


def _resilient(verdict: Verdict, record: Record) -> str:
    if not verdict.flows:
        return "Nobody would have noticed."
    lowest = min(verdict.flows, key=lambda one: one.kept[0])
    return (
        f"Nobody would have noticed: every flow kept at least {min(1.0, lowest.kept[0]):.1%} of "
        f"its goodput ({min(1.0, lowest.kept[1]):.1%} at the least), at normal speed."
    )


_TELLERS = {
    "invalid": _invalid,
    "corrupt": _corrupt,
    "stuck": _stuck,
    "cascading": _cascading,
    "degraded": _degraded,
    "graceful": _graceful,
    "resilient": _resilient,
}


def _rules(verdict: Verdict, *names: str) -> Iterable[Rule]:
    return (rule for rule in verdict.rules if rule.verdict in names)


def _findings(verdict: Verdict, name: str) -> list[Finding]:
    return [one for rule in _rules(verdict, name) for one in rule.findings]


def _yes(verdict: Verdict, name: str) -> list[Finding]:
    found = _findings(verdict, name)
    return [one for one in found if one.answer == YES] or [
        one for one in found if one.answer != NO and one.lean
    ]


def _worst(verdict: Verdict, names: Sequence[str]) -> FlowResult | None:
    """The flow that the rule's yes is about; of several the one that kept least."""
    flows = {flow.name: flow for flow in verdict.flows}
    found = [one for name in names for one in _yes(verdict, name) if one.flow in flows]
    if not found:
        return None
    return flows[min(found, key=_damage).flow]


def _damage(finding: Finding) -> float:
    lost = finding.part is not None and "of its goodput" in finding.question
    return finding.part if lost and finding.part is not None else 2.0


def _joined(reasons: Sequence[str]) -> str:
    return "; ".join(reasons)


def figures(verdict: Verdict) -> dict[str, float | None]:
    """What lists of runs show beside its word: what the worst flow that uses the dependency kept,
    and after how many seconds all was well (None: not within those watched)."""
    hit = [one for one in verdict.flows if one.uses] or verdict.flows
    if not hit or verdict.word == "invalid":
        return {}
    last = max(one.time_to_recover for one in verdict.flows)
    return {
        "kept": round(min(one.kept[0] for one in hit), 4),
        "recovered": None if verdict.word == "stuck" else last,
    }
