"""A recorded arrival log instead of a profile: when everything is due is in a file. Pure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from rascal.errors import ConfigError, ConfigErrors, did_you_mean, listed
from rascal.load.plan import Share

MOST_ARRIVALS = 20_000_000
"""In a log; more would need some hundred megabytes."""
MOST_FINDINGS = 20


class Log:
    """A recorded arrival log: times in order, and for each which scenario, if it says so."""

    def __init__(self, times: array[float], kinds: array[int], names: tuple[str, ...]) -> None:
        self.times = times
        self.kinds = kinds
        """Index into `names`, from 1; 0: not said."""
        self.names = names

    def scenario(self, number: int) -> str | None:
        """What the log says that arrival `number` is."""
        kind = self.kinds[number]
        return self.names[kind - 1] if kind else None


def log_of(share: Share, files: Mapping[str, bytes], ends: float) -> Log:
    """The arrival log of a share, out of the bundle; raises ConfigErrors."""
    data = files.get(share.replay)
    if data is None:
        text = f"there is no arrival log '{share.replay}' in the bundle, beside the scenario file"
        raise ConfigErrors([ConfigError(text)])
    return read_log(data, share.replay, share.scenarios, ends)


def read_log(data: bytes, path: str, scenarios: Sequence[str], ends: float = math.inf) -> Log:
    """Read an arrival log: a line each with seconds since the start, and maybe a scenario's name.

    Empty lines and lines that begin with # are skipped.

    Raises:
        ConfigErrors: the first findings, each with its line.
    """
    names = tuple(scenarios)
    known = {name.encode(): index + 1 for index, name in enumerate(names)}
    times, kinds = array("d"), array("H")
    findings: list[ConfigError] = []
    last = 0.0
    for number, line in enumerate(data.splitlines(), 1):
        parts = line.split(None, 1)
        if not parts or parts[0].startswith(b"#"):
            continue
        try:
            time = float(parts[0])
        except ValueError:
            time = math.nan
        name = parts[1].strip() if len(parts) > 1 else b""
        if last <= time < ends and (not name or name in known) and len(times) < MOST_ARRIVALS:
            last = time
            times.append(time)
            kinds.append(known[name] if name else 0)
            continue
        full = len(times) == MOST_ARRIVALS
        problem = f"the log has more than {MOST_ARRIVALS:,} arrivals"
        if not full:
            problem = _problem(parts[0], time, name, last, ends, names)
        findings.append(ConfigError(problem, path=path, line=number))
        if full or len(findings) == MOST_FINDINGS:
            break
    if not findings and not times:
        findings.append(ConfigError("the arrival log is empty", path=path))
    if findings:
        raise ConfigErrors(findings)
    return Log(times, kinds, names)


def _problem(
    written: bytes, time: float, name: bytes, last: float, ends: float, names: Sequence[str]
) -> str:
    """What is wrong with a line."""
    if not 0 <= time < math.inf:
        return (
            f"'{_shown(written)}' is not a time: write seconds since the start of the run, "
            "such as 12.5, then maybe a blank and a scenario"
        )
    if time < last:
        return f"{time:.15g} comes after {last:.15g}: lines must be in order of time (sort -n)"
    if time >= ends:
        return (
            f"{time:.15g} is not before the hard end of the run at {ends:.15g} seconds: "
            "times are seconds since the start of the run"
        )
    shown = _shown(name)
    return (
        f"the log drives no scenario '{shown}'; scenarios: {listed(names)}."
        f"{did_you_mean(shown, names)}"
    )


def _shown(text: bytes) -> str:
    return text[:40].decode("utf-8", "backslashreplace")


class Replay:
    """A log as masses and as the schedule that goes with them: the mass is the time itself."""

    users = False

    def __init__(self, log: Log, ends: float = math.inf) -> None:
        self.log = log
        self._times = log.times
        self.ends = min(ends, math.nextafter(log.times[-1], math.inf))
        self.total = self.ends

    def mass(self, number: float) -> float:
        """Time is mass here."""
        return number

    def at(self, mass: float) -> float:
        """When `mass` is reached: then."""
        return mass if mass < self.total else math.inf

    def planned(self, second: int) -> float:
        """How many arrivals fall into this second."""
        times = self._times
        last = min(float(second + 1), self.ends)
        return float(max(0, bisect_left(times, last) - bisect_left(times, float(second))))

    def level(self, t: float) -> float:
        """Arrivals within the second of `t`."""
        return self.planned(math.floor(t)) if 0 <= t < self.ends else 0.0

    before = level

    def until(self, second: float) -> Replay:
        """The same, over at `second`."""
        return Replay(self.log, min(self.ends, second))


class Recorded:
    """The masses of a log, by number."""

    __slots__ = ("_times",)

    def __init__(self, log: Log) -> None:
        self._times = log.times

    def mass(self, number: int) -> float:
        """Of arrival `number`; infinity behind the last."""
        return self._times[number] if number < len(self._times) else math.inf

    def first(self, mass: float) -> int:
        """The number of the first arrival at or after `mass`."""
        return bisect_left(self._times, mass)
