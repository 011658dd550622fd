"""In what two runs were not the same, and what that does to a comparison of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rascal.store.masking import masked
from rascal.store.reading import Reader
from rascal.store.values import Run

_APART = ("version", "name", "labels", "shares", "seed", "target", "file", "allow", "objectives")
"""Keys of a plan that are looked at on their own, or say nothing about the numbers."""


@attrs.frozen(kw_only=True)
class Difference:
    """One condition that differs."""

    what: str
    before: str
    after: str
    meaning: str = ""
    """What it does to the comparison."""


def differences(reader: Reader, before: Run, after: Run) -> tuple[Difference, ...]:
    """All that was not the same in two runs, or not sound."""
    found: list[Difference] = []

    def note(what: str, old: Any, new: Any, meaning: str = "") -> None:
        if old != new:
            found.append(
                Difference(what=what, before=shown(old), after=shown(new), meaning=meaning)
            )

    note("kind", before.kind, after.kind, "a load run and an experiment are different things")
    _files(reader, before, after, found)
    old, new = before.plan, after.plan
    loads = old.get("shares"), new.get("shares")
    if _without_length(loads[0]) != _without_length(loads[1]):
        meaning = "another load: rates are not compared, and times are those of other loads"
        note("profile", *loads, meaning)
    else:
        note("length", *loads, "rates are compared over the seconds that both have")
    note("seed", before.seed, after.seed, "other arrivals, picks and data: repeat to be sure")
    note("target", old.get("target"), new.get("target"), "another system")
    agents = [_agents(reader, run) for run in (before, after)]
    note("agents", agents[0], agents[1], "other machines may add other delays of their own")
    for key in dict.fromkeys((*old, *new)):
        if key not in _APART:
            note(key, old.get(key), new.get(key))
    for key in dict.fromkeys((*before.versions, *after.versions)):
        note(f"version of {key}", before.versions.get(key), after.versions.get(key))
    ends = [run.outcome or run.state for run in (before, after)]
    note("end", ends[0], ends[1], "one of them is not whole" if set(ends) != {"completed"} else "")
    unsound = [_unsound(reader, run) for run in (before, after)]
    if any(bad for bad, _ in unsound):
        old_bad, new_bad = (f"{bad} of {every}" for bad, every in unsound)
        meaning = "in these seconds the load client was measured as well"
        found.append(
            Difference(what="unsound seconds", before=old_bad, after=new_bad, meaning=meaning)
        )
    return tuple(found)


def _files(reader: Reader, before: Run, after: Run, found: list[Difference]) -> None:
    old, new = reader.digests(before.id), reader.digests(after.id)
    for path in dict.fromkeys((*old, *new)):
        if old.get(path) != new.get(path):
            code = path in (before.plan.get("file"), after.plan.get("file"))
            found.append(
                Difference(
                    what=path,
                    before=old.get(path, "none")[:12],
                    after=new.get(path, "none")[:12],
                    meaning="users do other things" if code else "other files of the scenario",
                )
            )


def _without_length(shares: Any) -> Any:
    """The same without how long a last `hold` goes on."""
    if not isinstance(shares, list):
        return shares
    found = []
    for share in shares:
        profile = share.get("profile") if isinstance(share, Mapping) else None
        if isinstance(profile, list) and profile and isinstance(profile[-1], Mapping):
            last = dict(profile[-1])
            if last.get("shape") == "hold":
                last.pop("for", None)
            share = {**share, "profile": [*profile[:-1], last]}
        found.append(share)
    return found


def _agents(reader: Reader, run: Run) -> int:
    found = reader.database.select(
        "SELECT count(DISTINCT agent) FROM reports WHERE run = ?", int(run.id)
    )
    return int(found[0][0])


def _unsound(reader: Reader, run: Run) -> tuple[int, int]:
    """Seconds that an agent marked, and seconds in all."""
    bad, every = set(), set()
    for seconds in reader.meters(run.id).values():
        for second, meters in seconds.items():
            every.add(second)
            if meters.unsound:
                bad.add(second)
    return len(bad), len(every)


def shown(value: Any) -> str:
    """A value of a plan, short."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        value = masked(value)
        return ", ".join(f"{key}={shown(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value) or "none"
    return str(value)
