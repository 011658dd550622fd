"""A load run as its form tells it: what is wrong, field by field, and the plan in words and points.

Runs no code of scenarios; what their file declares is handed in.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.language import LanguageError, Stretch, parse, parse_option, show
from rascal.load.plan import Plan, Share
from rascal.load.planning import plan_of
from rascal.load.plans_json import plan_json
from rascal.load.schedule import Schedule, Wave, counts_users, pieces
from rascal.load.words import plan_lines
from rascal.options import Option
from rascal.report.words import number, span

SHAPES = ("steady", "steps", "spike", "wave", "words")
LONGEST = 4000
"""Characters of a value."""
WAVES = 160
"""Points of a wave, at most."""
BEYOND = 0.25
"""What is drawn of a load without end, as a share of what comes before."""
PASSED = (
    "name", "target", "seed", "timeout", "connect_timeout", "connections", "max_in_flight",
    "max_time", "max_requests", "spacing", "loss",
)  # fmt: skip
"""Values that go to the plan as they are."""
LISTS = ("objectives", "stop", "labels", "only")


def planned(about: Mapping[str, Any], file: str, given: Mapping[str, Any],
            allow: Sequence[str] = ()) -> dict[str, Any]:  # fmt: skip
    """The answer to a form.

    Args:
        about: what the scenario file declares (rascal.panel.inspecting).
        file: its name, for the command line.
        given: the form: names of a load file, "draw" (shape and its fields) and "agents".
        allow: hosts off loopback that load may be sent to.
    """
    errors: dict[str, str] = {}
    values = _values(given, errors)
    values["options"] = _options(about, given.get("options"), errors)
    profile = _profile(given.get("draw"), errors)
    if profile:
        values["profile"] = profile
    plan = _plan(about, file, values, allow, errors, profile)
    found: dict[str, Any] = {"errors": errors, "profile": profile, "values": values}
    shares = plan.shares if plan is not None else _shares(profile)
    if shares:
        found |= drawn(shares)
        found["sentence"] = sentence(shares)
    if plan is not None:
        found["words"] = [list(one) for one in plan_lines(plan_json(plan))]
        found["command"] = command(file, values, given.get("agents"))
    return found


def _values(given: Mapping[str, Any], errors: dict[str, str]) -> dict[str, Any]:
    """The values of a load file, checked for their shape."""
    found: dict[str, Any] = {}
    for name in PASSED:
        value = given.get(name)
        if value in (None, ""):
            continue
        if not isinstance(value, str) or len(value) > LONGEST or "\n" in value:
            errors[name] = f"{name} is a text on one line"
        else:
            found[name] = value.strip()
    for name in LISTS:
        value = given.get(name)
        if value in (None, "", []):
            continue
        lines = value.splitlines() if isinstance(value, str) else value
        if not isinstance(lines, list) or not all(
            isinstance(one, str) and len(one) < LONGEST for one in lines
        ):
            errors[name] = f"{name} is a list of texts"
        else:
            found[name] = [one.strip() for one in lines if one.strip()]
    agents = given.get("agents")
    if agents not in (None, "") and not (str(agents).isascii() and str(agents).isdigit()
                                         and 0 < int(agents) < 10_000):  # fmt: skip
        errors["agents"] = "agents are a whole number, from 1"
    return found


def _options(about: Mapping[str, Any], given: Any, errors: dict[str, str]) -> dict[str, Any]:
    """Those that are not the default; the others the file knows itself."""
    given = given if isinstance(given, Mapping) else {}
    declared = {one["name"]: one for one in about.get("parameters", ())}
    found: dict[str, Any] = {}
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "none"
            near = did_you_mean(str(name), declared)
            errors[f"options.{name}"] = f"there is no option '{name}'; options: {known}.{near}"
    for name, one in declared.items():
        value = given.get(name)
        value = ("yes" if value else "no") if isinstance(value, bool) else value
        text = "" if value is None else str(value)[:LONGEST]
        if text == "" and not one["required"]:
            continue
        try:
            parse_option(option_of(one), text)
        except LanguageError as error:
            errors[f"options.{name}"] = error.message
            continue
        if text != one["default"]:
            found[name] = text
    return found


def option_of(one: Mapping[str, Any]) -> Option:
    """A typed parameter, as rascal.panel.inspecting tells of it."""
    kind: Any = tuple(one["type"]) if isinstance(one["type"], list) else one["type"]
    return Option(
        one["name"], kind, one["help"], None, one["minimum"], one["maximum"], one["required"]
    )


# ---- the profile


class _Draw:
    """Reads the fields of a shape."""

    def __init__(self, given: Mapping[str, Any], errors: dict[str, str]) -> None:
        self.given = given
        self.errors = errors
        self.users = given.get("model") == "closed"

    def text(self, name: str) -> str:
        return str(self.given.get(name) or "").strip()[:LONGEST]

    def level(self, name: str) -> str:
        """`200/s`, of `200` too."""
        text = self.text(name)
        unit = " users" if self.users else "/s"
        if text.replace(".", "", 1).replace(",", "").isdigit():
            text = text.replace(",", "") + unit
        try:
            read = parse("level", text)
        except LanguageError as error:
            example = "50 users" if self.users else "200/s"
            self.wrong(name, f"write {example}" if not text else error.message)
            return ""
        if hasattr(read, "low"):
            self.wrong(name, "one number; the shape says where it begins and ends")
            return ""
        if read.value and read.users != self.users:
            users = "users do not arrive by the second: write a number of users"
            rates = "arrivals are counted by the second: write 200/s"
            self.wrong(name, users if self.users else rates)
            return ""
        return show(read)

    def lasts(self, name: str, *, needed: bool = True) -> str:
        text = self.text(name)
        if not text and not needed:
            return ""
        text = f"{text}s" if text.isdigit() else text
        try:
            read: Any = parse_option(Option(name, "duration", "", minimum=0), text)
        except LanguageError as error:
            self.wrong(name, "how long? write 60s or 5m" if not text else error.message)
            return ""
        if not read.value:
            if needed:
                self.wrong(name, "more than 0s")
            return ""
        return show(read)

    def wrong(self, name: str, message: str) -> None:
        self.errors[f"draw.{name}"] = message


def _profile(given: Any, errors: dict[str, str]) -> str:
    """The profile of a shape, in the language; "" if it cannot be told."""
    draw = _Draw(given if isinstance(given, Mapping) else {}, errors)
    shape = draw.text("shape") or "steady"
    if shape not in SHAPES:
        draw.wrong("shape", f"shapes are {', '.join(SHAPES)}")
        return ""
    before = len(errors)
    if shape == "words":
        found = draw.text("words")
        try:
            parse("profile", found)
        except LanguageError as error:
            draw.wrong("words", error.message)
    else:
        found = _SHAPES[shape](draw)
    return found if len(errors) == before else ""


def _steady(draw: _Draw) -> str:
    level, lasts, ramp = draw.level("level"), draw.lasts("for"), draw.lasts("ramp", needed=False)
    return f"ramp 0..{level} for {ramp}, hold {level} for {lasts}" if ramp else (
        f"hold {level} for {lasts}"
    )  # fmt: skip


def _steps(draw: _Draw) -> str:
    low, high, lasts = draw.level("level"), draw.level("peak"), draw.lasts("for")
    count = draw.text("count") or "5"
    if not count.isascii() or not count.isdigit() or not 2 <= int(count) <= 100:
        draw.wrong("count", "from 2 to 100 steps")
    return f"steps {_between(low, high)} for {lasts} count {count}"


def _spike(draw: _Draw) -> str:
    level, peak = draw.level("level"), draw.level("peak")
    lasts, of_peak = draw.lasts("for"), draw.lasts("every")
    return f"hold {level} for {lasts}, spike {peak} for {of_peak}, hold {level} for {lasts}"


def _wave(draw: _Draw) -> str:
    low, high = draw.level("level"), draw.level("peak")
    return f"wave {_between(low, high)} for {draw.lasts('for')} every {draw.lasts('every')}"


def _between(low: str, high: str) -> str:
    """`10..50 users`: the unit stands once where it is the same."""
    unit = high.lstrip("0123456789.")
    return f"{low.removesuffix(unit)}..{high}"


_SHAPES = {"steady": _steady, "steps": _steps, "spike": _spike, "wave": _wave}


def _shares(profile: str) -> tuple[Share, ...]:
    """To draw what is right while something else is wrong."""
    return (Share(scenarios=(), profile=parse("profile", profile)),) if profile else ()


# ---- the plan


_FIELDS = {"profile": "draw.words", "rate": "draw.level", "users": "draw.level", "for": "draw.for"}


def _plan(
    about: Mapping[str, Any], file: str, values: Mapping[str, Any], allow: Sequence[str],
    errors: dict[str, str], profile: str,
) -> Plan | None:  # fmt: skip
    names = tuple(about.get("scenarios") or ())
    try:
        # Without a profile, for the sake of the other findings, any will do.
        full = {**values, "profile": profile or "hold 1/s for 1s", "allow": list(allow)}
        plan = plan_of(full, scenarios=names, file=file)
    except ConfigErrors as found:
        for one in found.findings:
            name = _FIELDS.get(one.option or "", one.option or "plan")
            errors.setdefault(name, _message(one))
        return None
    return plan if not errors else None


def _message(error: ConfigError) -> str:
    value = f"'{error.value}': " if error.option in LISTS and isinstance(error.value, str) else ""
    return value + error.message


def drawn(shares: Sequence[Share]) -> dict[str, Any]:
    """The load over time: {"points": [[t, level]], "seconds", "users", "top", "total"}."""
    profiles = [share.profile for share in shares if share.profile]
    schedules = [Schedule(one) for one in profiles]
    last = max((_corner(one) for one in profiles), default=0.0)
    endless = any(math.isinf(one.ends) for one in schedules)
    ends = (last * (1 + BEYOND) or 60.0) if endless else last
    found = points(profiles, ends)
    return {
        "points": found,
        "seconds": None if endless else ends,
        "drawn": ends,
        "users": any(counts_users(one) for one in profiles),
        "top": max((level for _, level in found), default=0.0),
        "total": None if endless else round(sum(one.mass(ends) for one in schedules)),
    }


def _corner(profile: Sequence[Stretch]) -> float:
    """Where the last piece with an end ends."""
    return sum(float(one.lasts.value) for one in profile if one.lasts is not None)


def points(profiles: Sequence[Sequence[Stretch]], ends: float) -> list[list[float]]:
    """[second, level of all together]; two at one second where it jumps."""
    schedules = [Schedule(one) for one in profiles]
    times = sorted({t for one in profiles for t in _times(one, ends)} | {0.0, ends})
    found: list[list[float]] = []
    for t in times:
        for level in (
            sum(one.before(t) for one in schedules) if t else None,
            sum(one.level(t) for one in schedules) if t < ends else None,
        ):
            point = [round(t, 3), round(level, 3)] if level is not None else None
            if point is not None and point != (found[-1] if found else None):
                found.append(point)
    return found


def _times(profile: Sequence[Stretch], ends: float) -> Iterator[float]:
    at = 0.0
    for piece in pieces(profile):
        if at >= ends:
            return
        lasts = float(piece.span)
        yield at
        if isinstance(piece, Wave):
            steps = min(WAVES, max(24, int(lasts)))
            yield from (at + lasts * step / steps for step in range(1, steps))
        at += lasts


def sentence(shares: Sequence[Share]) -> str:
    """What will come, for people."""
    found = drawn(shares)
    top = number(found["top"])
    lasts = f"in {span(found['seconds'])}" if found["seconds"] is not None else "until stopped"
    if found["users"]:
        return f"Up to {top} users at a time {lasts}; each waits for its replies (closed model)."
    many = (
        f"About {found['total']:,} users arrive" if found["total"] is not None else "Users arrive"
    )
    return f"{many} {lasts}, at most {top} a second, however slow the target is (open model)."


# ---- the same on the command line


_FLAGS = {"options": "option", "objectives": "objective", "stop": "stop", "labels": "label"}


def command(file: str, values: Mapping[str, Any], agents: Any = None) -> str:
    """The command line that does the same."""
    words = ["rascal", "load", "run", file, *values.get("only", ())]
    for name in (*PASSED, "profile"):
        if values.get(name) not in (None, ""):
            words += [f"--{name.replace('_', '-')}", str(values[name])]
    for name, flag in _FLAGS.items():
        found = values.get(name) or ()
        for one in (
            [f"{key}={value}" for key, value in found.items()]
            if isinstance(found, Mapping)
            else found
        ):
            words += [f"--{flag}", str(one)]
    if agents not in (None, ""):
        words += ["--agents", str(agents)]
    return shlex.join(words)
