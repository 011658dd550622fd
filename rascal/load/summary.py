"""What a run comes to: the plain JSON that the store keeps and every output is made of.

    run, name, file, target, seed, outcome, why     how it ended
    status, invalid     the exit code; why the run proves nothing
    started_at, seconds, drained        time of the day; of load; until all had ended
    load        [{scenarios, profile}]
    total, flows, scenarios     rows as `measuring.row_data` has them: planned, started, dropped,
                outcomes, attempts, bytes, and latencies twice: `served` and `explicit` count from
                the intended start (corrected), `served_actual` and `explicit_actual` from the
                actual one (what a tool would report that does not correct)
    offered     {expected, planned, started, dropped, share}: of arrivals
    deadlines   {flows, scenarios}: seconds, of scenarios and of flows that one alone calls
    lateness    of arrivals: what the client itself was late by
    objectives  [{text, kept, …}]
    agents      {name: {host, pid, version, index, seconds, cpu, busy, lag, gc, connections,
                resent, unsound, lost}}
    unsound     {seconds, share, reasons}: seconds whose numbers are not to be trusted
    reports     {merged, missing}
    warnings    [text]

Times are seconds, shares of 1, rates per second. Keys are only ever added.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rascal.language import show
from rascal.load.measures import objective_states
from rascal.load.measuring import histogram_data, merged, rates, row_data
from rascal.load.offered import NOISE
from rascal.load.schedule import counts_users
from rascal.load.types import Meters, Row

if TYPE_CHECKING:
    from rascal.load.coordinator import Coordinator
    from rascal.load.results import Results

OFFERED = 0.95
"""Of the planned arrivals must have been offered; else the run proves nothing."""
UNSOUND = 0.05
"""Of the seconds may be unsound."""
DROPPED = 0.01
"""Of the arrivals may be dropped before the summary warns of it."""

COMPLETED, FAILED, INVALID, STOPPED, INTERRUPTED = 0, 1, 3, 4, 130


def summarize(run: Coordinator) -> dict[str, Any]:
    """The summary of a run that has ended."""
    results, plan = run.results, run.plan
    seconds = load_seconds(run)
    last = math.ceil(seconds) - 1
    states = (
        objective_states(plan.objectives, results, 0, last)
        if run.start is not None and seconds > 0
        else []
    )
    offered = _offered(run, seconds)
    unsound = _unsound(run, seconds)
    warnings, invalid = _findings(run, offered, unsound)
    started_at = None
    if run.start is not None:
        moment = run.now() + run.start - run.clock.seconds()
        started_at = datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(
            timespec="milliseconds"
        )
    missed = [one for one in states if not one.kept]
    return {
        "run": run.keeper.run,
        "name": plan.name,
        "file": plan.file,
        "target": plan.target,
        "seed": plan.seed,
        "outcome": run.outcome,
        "why": run.why,
        "status": status(run.outcome, invalid=bool(invalid), missed=bool(missed)),
        "invalid": invalid,
        "started_at": started_at,
        "seconds": round(seconds, 3),
        "drained": round(max(0.0, run.clock_of_run() - seconds), 3),
        "load": [
            {
                "scenarios": list(share.scenarios),
                "profile": show(share.profile) if share.profile else f"replay {share.replay}",
            }
            for share in run.offer.shares
        ],
        "total": _flows(results, results.flows, seconds),
        "flows": {name: _flows(results, [name], seconds) for name in results.flows},
        "scenarios": {
            name: _row(results.total("scenario", [name]), seconds) for name in results.scenarios
        },
        "offered": offered,
        "deadlines": {
            "flows": dict(sorted(results.deadlines.items())),
            "scenarios": dict(sorted(results.scenario_deadlines.items())),
        },
        "lateness": histogram_data(
            merged(one.lateness for meters in results.meters.values() for one in meters.values())
        ),
        "objectives": [one.json() for one in states],
        "agents": {name: _agent(run, name) for name in run.agents},
        "unsound": unsound,
        "reports": {
            "merged": sum(len(meters) for meters in results.meters.values()),
            "missing": sum(gap.last - gap.first + 1 for gap in results.gaps()),
        },
        "warnings": warnings,
    }


def status(outcome: str, *, invalid: bool, missed: bool) -> int:
    """The exit code: what stopped the run first, then whether it proves anything, then what."""
    if outcome == "interrupted":
        return INTERRUPTED
    if outcome == "stopped":
        return STOPPED
    if invalid or outcome in ("failed", "aborted"):
        return INVALID
    return FAILED if missed else COMPLETED


def load_seconds(run: Coordinator) -> float:
    """How long load was offered."""
    if run.start is None:
        return 0.0
    ends = run.offer.ends
    return max(0.0, min(ends, run.clock_of_run()))


def _flows(results: Results, names: Sequence[str], seconds: float) -> dict[str, Any]:
    data = _row(results.total("flow", names), seconds)
    if seconds:
        data["offered"], data["goodput"] = rates(results, names, seconds)
    return data


def _row(row: Row, seconds: float) -> dict[str, Any]:
    data = row_data(row, seconds)
    data["share_failed"] = data["failed"] / row.planned if row.planned > 0 else None
    data["attempts_per_call"] = row.attempts / row.started if row.started > 0 else None
    return data


def _offered(run: Coordinator, seconds: float) -> dict[str, Any]:
    """Arrivals: what the profiles ask for, and what the agents made of it."""
    total = run.results.total("scenario")
    expected, chance = run.offer.expected(seconds)
    if run.losses.ever:
        chance /= NOISE  # what a lost agent did not send is more than chance
    done = total.started + total.dropped
    wanted = max(float(total.planned), expected - chance)
    return {
        "expected": round(expected, 1),
        "chance": round(chance, 1),
        "planned": total.planned,
        "started": total.started,
        "dropped": total.dropped,
        "share": done / wanted if wanted > 0 else None,
        "short": max(0, round(wanted - done)),
    }


def _unsound(run: Coordinator, seconds: float) -> dict[str, Any]:
    """Seconds of the load in which at least one agent could not keep up."""
    last = math.ceil(seconds)
    found = {
        second: reasons
        for second, reasons in run.losses.unsound_seconds.items()
        if 0 <= second < last
    }
    reasons = Counter(reason for given in found.values() for reason in given)
    return {
        "seconds": sorted(found),
        "share": len(found) / last if last else 0.0,
        "reasons": dict(reasons.most_common()),
    }


def _findings(
    run: Coordinator, offered: Mapping[str, Any], unsound: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Warnings, and those among them that make the run invalid."""
    invalid = []
    words = ", ".join(f"{word} {times}" for word, times in unsound["reasons"].items())
    if run.outcome in ("failed", "aborted"):
        invalid.append(run.why)
    share = offered["share"]
    if share is not None and share < OFFERED:
        invalid.append(
            f"offered load not reached: {offered['short']:,} of {offered['expected'] or 0:,.0f} "
            f"arrivals were not even dropped ({share:.1%} were offered, {OFFERED:.0%} are needed)"
        )
    if unsound["share"] > UNSOUND:
        invalid.append(
            f"the client was the bottleneck in {len(unsound['seconds'])} seconds "
            f"({unsound['share']:.0%}; {UNSOUND:.0%} are allowed): {words}. Use more agents, "
            "or a lower rate"
        )
    warnings = list(invalid)
    if 0 < unsound["share"] <= UNSOUND:
        many = len(unsound["seconds"])
        warnings.append(
            f"{many} second{' is' if many == 1 else 's are'} not to be trusted: the client was "
            f"the bottleneck ({words})"
        )
    planned, dropped = offered["planned"], offered["dropped"]
    if planned and dropped / planned > DROPPED:
        warnings += _dropped(run, planned)
    for name in run.results.scenarios:
        ended = run.results.total("scenario", (name,)).outcomes
        if broken := ended.get("check_failed", 0):
            warnings.append(
                f"{broken:,} of {sum(ended.values()):,} iterations of '{name}' were ended by an "
                "assert or an exception in the scenario; flows do not count that"
            )
    for name, why in run.losses.ever.items():
        back = "" if name in run.losses.gone else "; it came back"
        warnings.append(f"agent {name} was lost: {why}{back}")
    if run.losses.ever and share is not None and OFFERED <= share < 1 and offered["short"]:
        warnings.append(f"about {offered['short']:,} arrivals of lost agents were not offered")
    missing = sum(gap.last - gap.first + 1 for gap in run.results.gaps())
    if missing:
        warnings.append(f"{missing} reports are missing: what their agents did is not counted")
    slow = run.results.total().lanes.get("treq", 0)
    if slow:
        warnings.append(f"{slow:,} calls went the slow way, by stock treq")
    return warnings, invalid


def _dropped(run: Coordinator, planned: int) -> Iterator[str]:
    """Why arrivals were dropped: in the open model by a bound; by users with a pace because they
    still waited for replies when their time was over."""
    paced = {
        name
        for share in run.plan.shares
        if counts_users(share.profile) and not share.replay
        for name in share.scenarios
    }
    rows = {name: run.results.total("scenario", (name,)) for name in run.results.scenarios}
    left = sum(row.dropped for name, row in rows.items() if name in paced)
    bound = sum(row.dropped for name, row in rows.items() if name not in paced)
    flatters = "the target got less than was planned, which flatters it"
    if bound:
        yield (
            f"{bound:,} arrivals ({bound / planned:.1%}) were dropped at the bound of iterations "
            f"in flight, or as late as a time-out: {flatters}"
        )
    if left:
        yield (
            f"{left:,} iterations ({left / planned:.1%}) were due by their users' pace and never "
            f"began: the users were still waiting for replies when they left; {flatters}"
        )


def _agent(run: Coordinator, name: str) -> dict[str, Any]:
    """What one agent was like."""
    meters: list[Meters] = list(run.results.meters.get(name, {}).values())
    count = len(meters) or 1
    reasons = Counter(reason for one in meters for reason in one.unsound)
    return {
        **run.agents[name].json(),
        "seconds": len(meters),
        "cpu": {
            "mean": sum(one.cpu for one in meters) / count,
            "most": max((one.cpu for one in meters), default=0.0),
        },
        "busy": {
            "mean": sum(one.busy for one in meters) / count,
            "most": max((one.busy for one in meters), default=0.0),
        },
        "lag": max((one.lag for one in meters), default=0.0),
        "gc": max((one.gc for one in meters), default=0.0),
        "in_flight": max((one.in_flight for one in meters), default=0),
        "connections": sum(one.connections for one in meters),
        "resent": sum(one.reused_lost for one in meters),
        "unsound": dict(reasons.most_common()),
        "lost": run.losses.gone.get(name),
    }
