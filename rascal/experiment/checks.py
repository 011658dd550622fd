"""Why a run proves nothing: each check with its sentence (docs/verdicts.md, "invalid")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rascal.experiment.counts import Flow, Window, groups
from rascal.experiment.record import Record, Thresholds
from rascal.experiment.statistics import kept, quantile, wilson

STARTS_LATE = 1.0
DROPPED = 0.01
CHECKED = 0.99
LOSING = 0.98
BLOCK_CALLS, MOVED = 20, 0.005


def reasons(
    record: Record,
    flows: Sequence[Flow],
    used: Sequence[Flow],
    windows: Sequence[tuple[str, Window]],
    thresholds: Thresholds,
) -> list[str]:
    """Every reason why this run cannot answer; none if it can."""
    found = [*record.troubles, *_faults(record), *_load(record, flows, windows, thresholds)]
    if not used:
        found.insert(0, "no flow uses the faulted dependency")
    found += _baseline(flows, used or flows, windows[0][1], thresholds)
    for label, window in windows[1:]:
        if used and not sum(flow.total("calls", *window) for flow in used):
            found.append(f"not one call of the flows that use it counts ({label})")
    found += [
        f"the invariant '{one.name}' did not hold before the fault"
        for one in record.invariants
        if not one.before
    ]
    first, last = windows[0][1]
    told = (flow.failures.get(at, {}) for flow in flows for at in range(first, last))
    if any("wrong_data" in one for one in told):
        found.append("there was wrong data before any fault")
    return found


def _faults(record: Record) -> Iterator[str]:
    for fault in record.faults:
        if not fault.fired:
            yield f"{fault.name} never fired"
        if fault.late > STARTS_LATE:
            yield f"{fault.name} took effect {fault.late:.1f} s late"
        if fault.stayed:
            yield f"{fault.name} could not be removed"


def _load(
    record: Record,
    flows: Sequence[Flow],
    windows: Sequence[tuple[str, Window]],
    thresholds: Thresholds,
) -> Iterator[str]:
    first, last = windows[0][1][0], windows[-1][1][1]
    deaf = [second for second in record.unsound if first <= second < last]
    if len(deaf) > thresholds.unsound * (last - first):
        yield f"an agent was overloaded in {len(deaf)} of {last - first} seconds"
    for label, (begin, end) in windows:
        known = [flow.offers[at] for flow in flows for at in range(begin, end) if at in flow.offers]
        planned, offered, dropped = (sum(one[at] for one in known) for at in range(3))
        if record.offered:
            drawn = [record.offered.get(at, (0, 0)) for at in range(begin, end)]
            planned, offered = (sum(one) for one in zip(*drawn, strict=True))
        if offered < thresholds.offered * planned:
            yield f"only {offered / planned:.0%} of the load was offered ({label})"
        if label == "baseline" and dropped > DROPPED * planned:
            yield "the bound of calls in flight was reached in the baseline"


def _baseline(
    flows: Sequence[Flow], used: Sequence[Flow], baseline: Window, thresholds: Thresholds
) -> Iterator[str]:
    calls = sum(flow.calls0 for flow in used)
    if calls < thresholds.fewest:
        yield f"there were {calls} calls in the baseline; {thresholds.fewest} are needed"
    z, half = quantile(CHECKED, len(flows)), (baseline[0] + baseline[1]) // 2
    for one in groups(flows, "thin flows", thresholds, baseline, thresholds.sure):
        good, all_ = one.good0, one.calls0
        highest = wilson(good / one.scatter, all_ / one.scatter, z)[1]
        if all_ and highest < thresholds.baseline_ok:
            yield f"{one.name} succeeded in only {good / all_:.1%} of its calls before any fault"
        (k0, n0), (k1, n1) = (
            (one.total("good", *window), one.total("calls", *window))
            for window in ((baseline[0], half), (half, baseline[1]))
        )
        part, _, high = kept(k1, n1, k0, n0, z, one.scatter)
        if high < LOSING:
            yield (
                f"{one.name} was losing goodput already in the baseline "
                f"({part:.0%} in its second half)"
            )
    for flow in flows:
        yield from _moving(flow)


def _moving(flow: Flow) -> Iterator[str]:
    """Latency that has not settled: the medians of five blocks in strict order, far apart."""
    blocks = flow.blocks
    if min(one.count for one in blocks) < BLOCK_CALLS:
        return
    medians = [one.percentile(50) for one in blocks]
    rises = medians[-1] > medians[0]
    low, high = (blocks[0], medians[-1]) if rises else (blocks[-1], medians[0])
    if sorted(medians, reverse=not rises) != medians or len(set(medians)) < len(blocks):
        return
    if high < low.percentile(95) or abs(medians[-1] - medians[0]) < MOVED:
        return
    yield (
        f"{flow.name} was still getting {'slower' if rises else 'faster'} in the baseline "
        f"(median {medians[0] * 1e3:.0f} ms, at its end {medians[-1] * 1e3:.0f} ms)"
    )
