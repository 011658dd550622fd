"""What stands first: the verdict in a word with its sign, in sentences, and whether it was hoped
for. Every output says it with these words.
"""

from __future__ import annotations

from collections.abc import Iterator

from rascal.experiment.expectation import Met
from rascal.experiment.objectives import ObjectiveResult
from rascal.experiment.outputs.gathered import Gathered
from rascal.report.page import Badge, Sign, Tone, Verdict
from rascal.report.words import many, share_text, span, value_text

_DOWN = "M4 10H14L18 26H26"
SIGNS = {
    "resilient": ("M4 10H42", ""),
    "graceful": ("M4 10H14L17 17H26L30 10H42", ""),
    "degraded": ("M4 10H14L17 26L19 21L21 27L24 24L26 27L31 10H42", ""),
    "cascading": (f"{_DOWN}L31 10H42", "M4 5H16L20 17H27L32 5H42"),
    "stuck": (f"{_DOWN}H42", ""),
    "metastable": (f"{_DOWN}H42", "M30 26L34 10H42"),
    "overloaded": ("M4 10H14L18 26H26L31 20H42", ""),
    "broken": (f"{_DOWN}H33M36 22L43 29M43 22L36 29", ""),
    "corrupt": ("M4 10H42M16 18L26 28M26 18L16 28", ""),
    "invalid": ("", "M4 17H42"),
    "ended early": ("M4 10H14L18 22H23", "M26 14V30M30 14V30"),
}
"""Of each word: a path in a box of 46 to 34, and a dashed one."""
_GOOD, _MIDDLING = ("resilient", "graceful"), ("degraded", "invalid", "ended early")
MEANINGS = {
    "resilient": "nobody would have noticed",
    "graceful": "it gave up what it had to, and said so",
    "degraded": "it came back, but failed badly",
    "cascading": "the damage spread to what does not use the dependency",
    "stuck": "it has not come back",
    "metastable": "stuck: it keeps itself down",
    "overloaded": "stuck: its old load is too much for it now",
    "broken": "stuck: it does not come back even without load",
    "corrupt": "the data is wrong",
    "invalid": "the run proves nothing",
    "ended early": "there is no verdict",
}
_MET: dict[Met, tuple[str, Tone]] = {
    "yes": ("✓ as expected", "good"),
    "no": ("✗ not as expected", "bad"),
    "unsure": ("? cannot tell whether it is as expected", "warn"),
}


def tone(it: Gathered) -> Tone:
    """How it went, measured by what was expected, if anything was."""
    if it.status == 0:
        return "good" if it.met or word_tone(it.word) == "good" else word_tone(it.word)
    return "bad" if it.status in (1, None) else "warn"


def word_tone(word: str) -> Tone:
    """Of the verdict by itself."""
    return "good" if word in _GOOD else "warn" if word in _MIDDLING else "bad"


def verdict(it: Gathered) -> Verdict:
    """The word, its sign, what it means."""
    path, second = SIGNS.get(it.word, ("", "M4 17H42"))
    note = MEANINGS.get(it.word, "")
    return Verdict(
        word=it.word.capitalize(),
        sign=Sign(path=path, dashed=second, tone=word_tone(it.word)),
        note=note,
    )


def badges(it: Gathered) -> list[Badge]:
    """Certainty, expectation, objectives, invariants: one word each."""
    found = []
    if it.verdict is not None:
        sure = it.verdict.sure
        found.append(Badge(text=certainty(it), tone="" if sure else "warn"))
    if it.expect is not None and it.met is not None:
        text, how = _MET[it.met]
        if it.word == "invalid" and it.met != "yes":
            text, how = "? proves nothing", "warn"
        found.append(Badge(text=f"{text}: {expected(it)}", tone=how))
    kept = [one.kept for one in it.objectives]
    if kept:
        text = f"{sum(kept)} of {many(len(kept), 'objective')} kept"
        found.append(Badge(text=text, tone="good" if all(kept) else "bad"))
    held = [one.after for one in it.kept.invariants]
    if held:
        text = f"{sum(held)} of {many(len(held), 'invariant')} held"
        found.append(Badge(text=text, tone="good" if all(held) else "bad"))
    return found


def certainty(it: Gathered) -> str:
    """`sure`, or what else is possible."""
    if it.verdict is None:
        return "not judged"
    if it.verdict.sure:
        return "sure"
    others = [word for word in it.verdict.between if word != it.verdict.word]
    return f"not sure: {' or '.join(others)} is possible too"


def expected(it: Gathered) -> str:
    """`graceful or better`."""
    if it.expect is None:
        return "nothing was expected"
    best = it.expect.exactly or it.expect.word == "resilient"
    return str(it.expect) if best else f"{it.expect} or better"


def sentences(it: Gathered) -> list[str]:
    """The verdict, what is not sure of it, what was missed, what was done."""
    found = [it.told]
    if it.doubt:
        found.append(it.doubt)
    if it.verdict is None and it.why and it.why not in it.told:
        found.append(f"Why it was ended: {it.why}.")
    missed = [one.text for one in it.objectives if not one.kept]
    if missed:
        found.append(f"Not kept: {'; '.join(missed)}.")
    return [*found, *_done(it)]


def _done(it: Gathered) -> Iterator[str]:
    if not it.faults:
        return
    rate = _rate(it)
    names = [
        f"{one.letter}, {one.text or one.record.name}, for {span(one.record.off - one.record.on)}"
        for one in it.faults
    ]
    load = f" under {rate}" if rate else ""
    text = f"What was done{load}: {'; '.join(names)}."
    yield text


def _rate(it: Gathered) -> str:
    """`100 calls a second`, as offered in the baseline."""
    begin, end = it.kept.phases.get("baseline", (0.0, 0.0))
    seconds = int(end) - int(begin)
    rows = (flow.rows.get(at) for flow in it.record.flows for at in range(int(begin), int(end)))
    planned = sum(row.planned for row in rows if row is not None)
    return f"{planned / seconds:,.0f} calls a second" if planned and seconds > 0 else ""


def measured(one: ObjectiveResult) -> str:
    """What an objective came to."""
    whole = one.type == "duration" and one.value is not None and one.value == int(one.value)
    return f"{one.value:.0f}s" if whole else value_text(one.type, one.value)


def kept_text(kept: tuple[float, float, float]) -> str:
    """`83 % (78 to 88 %)`."""
    part, low, high = kept
    return f"{share_text(part)} ({interval_text(low, high)})"


def interval_text(low: float, high: float) -> str:
    """`78 to 88 %`."""
    first, second = share_text(max(0.0, low)), share_text(high)
    return f"{first.removesuffix(' %')} to {second}"
