"""Changes of an experiment's text that are made in its drawing: a fault's times, a phase's length.

Only the words that say it are changed; everything else, comments included, stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rascal.config.registry import installed
from rascal.errors import ConfigError, ConfigErrors
from rascal.experiment.reading import _kinds as known_kinds
from rascal.experiment.reading import experiment_of
from rascal.experiment.specification import PHASES
from rascal.experiment.timeline import Timeline, timeline_of
from rascal.language import Phrase, parse
from rascal.load.wishes import as_list
from rascal.load.yamltext import Block, Text, read_yaml

TIMES = ("from", "until", "for")
RECIPE = "recipe "
BY_HAND = "this cannot be moved in the drawing: change its times in the text"


@attrs.frozen
class Source:
    """Where a fault of the plan stands in the file."""

    value: Any
    """The sentence, or the lines of a script."""
    phrase: Phrase | None = None
    prefix: str = ""
    """What was read before the sentence."""


def moved(text: str, path: str, index: int, begins: float, ends: float) -> dict[str, Any]:
    """The text with other times of a fault, in seconds of the run. Raises ConfigErrors."""
    timeline = timeline_of(experiment_of(text, path))
    first, last = timeline.phases["fault"]
    begins, ends = max(first, min(begins, last)), max(first, min(ends, last))
    if not 0 <= index < len(timeline.windows) or ends - begins < 0.05:
        raise _wrong("a fault lasts for a while, within its phase")
    sources = list(_sources(text, path))
    if len(sources) != len(timeline.windows):
        raise _wrong(BY_HAND)
    source = sources[index]
    if source.phrase is None:
        changed = _script(text, source.value, timeline, begins, ends)
    else:
        changed = _sentence(text, source, timeline, begins, ends)
    found = timeline_of(experiment_of(changed, path)).windows[index]
    if abs(found.begins - begins) > 0.01 or abs(found.ends - ends) > 0.01:
        raise _wrong(BY_HAND)
    return {"text": changed}


def lasting(text: str, path: str, phase: str, seconds: float) -> dict[str, Any]:
    """The text with another length of a phase. Raises ConfigErrors."""
    if phase not in PHASES:
        raise _wrong(f"phases are {', '.join(PHASES)}")
    value = f"{max(0 if phase == 'warm-up' else 1, round(seconds))}s"
    top = read_yaml(text, path)
    given = top.get("phases") if isinstance(top, Block) else None
    if isinstance(given, Block) and phase in given:
        changed = _replaced(text, given[phase], value)
    elif isinstance(given, Block) and given:
        changed = begin_key(text, next(iter(given)), phase, value)
    elif isinstance(top, Block) and given is None:
        after = next((one for one in top if one in ("faults", "recipe", "scripts")), None)
        if after is None:
            raise _wrong(BY_HAND)
        changed = begin_key(text, after, "phases", f"{{{phase}: {value}}}")
    else:
        raise _wrong(BY_HAND)
    experiment_of(changed, path)  # a fault may not fit any more: that is said
    return {"text": changed}


def _wrong(message: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(message, code="not-possible")])


def _sources(text: str, path: str) -> Iterator[Source]:
    """Of every action, in the order of the plan."""
    top: Mapping[str, Any] = read_yaml(text, path)
    for name in ("recipe", "faults"):
        for value in as_list(top.get(name)):
            bare = name == "recipe" and str(value).split()[:1] != ["recipe"]
            prefix = RECIPE if bare else ""
            phrases = parse(
                "faults", prefix + value, kinds=known_kinds(), recipes=installed().recipes
            )
            for phrase in phrases:
                yield Source(value, phrase, prefix)
    for value in as_list(top.get("scripts")):
        yield Source(value)


# ---- sentences


def _sentence(text: str, source: Source, timeline: Timeline, begins: float, ends: float) -> str:
    phrase, whole = source.phrase, source.prefix + str(source.value)
    assert phrase is not None
    spans = [one for one in phrase.places.values() if isinstance(one, tuple)]
    end = max(high for _, high in spans)
    cuts = []
    for name in TIMES:
        span = phrase.places.get(name)
        if isinstance(span, tuple):
            word = whole.rindex(name, 0, span[0])
            while word and whole[word - 1].isspace():
                word -= 1
            cuts.append((word, span[1]))
    clauses = _clauses(phrase, timeline, begins, ends)
    parts, at = [], 0
    for low, high in sorted(cuts):
        parts.append(whole[at:low])
        at = high
    changed = "".join(parts) + whole[at:end]
    changed = changed.rstrip() + clauses + whole[end:]
    return _replaced(text, source.value, changed.removeprefix(source.prefix))


def _clauses(phrase: Phrase, timeline: Timeline, begins: float, ends: float) -> str:
    """` from fault+5s for 10s`; what needs not be said is not."""
    first, last = timeline.phases["fault"]
    found = "" if begins - first < 0.005 else f" from fault+{_seconds(begins - first)}"
    if last - ends < 0.005:
        return found
    until = phrase.clause("until")
    if until is not None and until.anchor == "fault.end":
        return f"{found} until fault.end-{_seconds(last - ends)}"
    if until is not None:
        return f"{found} until fault+{_seconds(ends - first)}"
    return f"{found} for {_seconds(ends - begins)}"


def _seconds(value: float) -> str:
    return f"{round(value, 2):g}s"


# ---- scripts


def _script(text: str, block: Any, timeline: Timeline, begins: float, ends: float) -> str:
    if not isinstance(block, Block):
        raise _wrong(BY_HAND)
    first, last = timeline.phases["fault"]
    wanted: dict[str, str] = {}
    if begins - first > 0.005 or "from" in block:
        wanted["from"] = f"fault+{_seconds(begins - first)}"
    if "until" in block:
        wanted["until"] = f"fault+{_seconds(ends - first)}"
    elif "for" in block or last - ends > 0.005:
        wanted["for"] = _seconds(ends - begins)
    # From the back, so that the places of what comes before stay true.
    there = sorted((name for name in wanted if name in block), key=lambda one: _at(block[one]))
    for name in reversed(there):
        text = _replaced(text, block[name], wanted[name])
    first_key = next(iter(block))
    for name in reversed([one for one in wanted if one not in block]):
        text = begin_key(text, first_key, name, wanted[name])
    return text


def _at(value: Any) -> tuple[int, int]:
    return value.line, value.column


# ---- the text itself


def _offset(text: str, line: int, column: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = text.index("\n", at) + 1
    return at + column - 1


def _replaced(text: str, value: Any, new: str) -> str:
    """The text with another scalar in the place of one. Raises ConfigErrors."""
    if not isinstance(value, Text):
        raise _wrong(BY_HAND)
    at = _offset(text, value.line, value.column)
    old = _written(str(value), value.style)
    if not text.startswith(old, at):
        raise _wrong(BY_HAND)
    return text[:at] + _written(new, value.style) + text[at + len(old) :]


def _written(value: str, style: str) -> str:
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    if style == '"':
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value


def begin_key(text: str, key: Any, name: str, value: str) -> str:
    """The text with `name: value` before a key of the same lines or braces."""
    at = _offset(text, key.line, key.column)
    start = text.rfind("\n", 0, at) + 1
    before = text[start:at]
    if re.fullmatch(r"[\s-]*", before):
        return f"{text[:at]}{name}: {value}\n{' ' * len(before)}{text[at:]}"
    return f"{text[:at]}{name}: {value}, {text[at:]}"
