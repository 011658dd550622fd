"""What is measured of the proxies and their faults, with labels that are bounded.

The first PROXIES proxies and the first FAULTS faults have their names; what comes behind is
summed up as "_other" (no name begins so).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import attrs

from rascal.exposition import Exposition, Histogram, escape, label
from rascal.proxy.tally import BOUNDS, OTHER, Series

PROXIES = 1000
FAULTS = 10_000
REASONS = 20
"""Reasons of one counter that are told apart."""
REST = "_other"

ENDS = frozenset(
    (
        "abandoned",
        "answered",
        "client gone",
        "control",
        "fault",
        "fault removed",
        "limit",
        "lost sync",
        "protocol changed",
        "proxy disabled",
        "proxy removed",
        "refused",
        "silent",
        "timeout",
        "tls",
        "too many clients",
        "unreachable",
        "unresolved",
    )
)
"""Reasons of connections' ends; any other is the name of a fault and counted as "fault"."""


@attrs.frozen(eq=False)
class Family:
    """One family of metrics."""

    name: str
    counter: bool
    help: str


OPEN = Family("rascal_connections_open", False, "Connections that live.")
LISTENING = Family("rascal_proxy_listening", False, "Whether clients can connect.")
CONNECTIONS = Family("rascal_connections", True, "Connections that were accepted.")
ENDED = Family("rascal_connections_ended", True, "Connections that ended, by who or what did it.")
DIALS = Family("rascal_dials", True, "Attempts to connect to the upstream, by outcome.")
BYTES = Family("rascal_bytes", True, "Bytes read, by where they go; live connections count.")
DESYNCS = Family("rascal_desyncs", True, "Connections on which bytes were not the protocol.")
RAW = Family("rascal_raw_connections", True, "Of those, the ones relayed as bytes from there on.")
NOTES = Family("rascal_notes", True, "Things that were noted about connections.")
EXCHANGES = Family(
    "rascal_exchanges_sampled",
    True,
    "Exchanges that were looked at, by outcome; all of them only where rascal_exchanges_watched.",
)
WATCHED = Family("rascal_exchanges_watched", False, "Whether every exchange is looked at now.")
ARMED = Family("rascal_fault_armed", False, "Whether the fault is armed.")
MATCHED = Family("rascal_fault_matched", True, "Exchanges or connections that the fault matched.")
FIRED = Family("rascal_fault_fired", True, "Those of them that it struck.")
SKIPPED = Family("rascal_fault_skipped", True, "Those of them that it did not strike, by reason.")
WAITING = Family("rascal_fault_waiting", False, "What the fault holds at this moment.")

FAMILIES = (
    LISTENING,
    OPEN,
    CONNECTIONS,
    ENDED,
    DIALS,
    BYTES,
    DESYNCS,
    RAW,
    NOTES,
    EXCHANGES,
    WATCHED,
    ARMED,
    MATCHED,
    FIRED,
    SKIPPED,
    WAITING,
)

Row = tuple[Family, str, float]


def write_proxies(out: Exposition, node: Any) -> None:
    """All of it."""
    samples: dict[Family, list[tuple[str, float]]] = {family: [] for family in FAMILIES}
    rest: dict[Family, dict[str, float]] = {family: defaultdict(float) for family in FAMILIES}
    room = FAULTS
    for n, (name, proxy) in enumerate(node.proxies.items()):
        own, named = n < PROXIES, max(0, room)
        room -= len(proxy.gate.faults)
        proxy_label = label("proxy", name)
        for rows in (_proxy(proxy), _faults(proxy, named if own else 0)):
            if own:
                for family, labels_, value in rows:
                    samples[family].append(
                        (f"{proxy_label},{labels_}" if labels_ else proxy_label, value)
                    )
            else:
                for family, labels_, value in rows:
                    rest[family][labels_] += value
    proxy_label = label("proxy", REST)
    for family in FAMILIES:
        found = samples[family]
        for labels_, value in rest[family].items():
            number = int(value) if value == int(value) else value
            found.append((f"{proxy_label},{labels_}" if labels_ else proxy_label, number))
        write = out.counter if family.counter else out.gauge
        write(family.name, family.help, found)
    out.histogram(
        "rascal_exchange_sampled_seconds",
        "How long the exchanges took that were looked at, by class of command.",
        _histograms(node),
    )


def _proxy(proxy: Any) -> Iterator[Row]:
    gate = proxy.gate
    counts = gate.counts
    yield LISTENING, "", int(bool(proxy.doors))
    yield OPEN, "", len(gate.connections)
    yield CONNECTIONS, "", counts.connections
    ends = {"peers": counts.peers}
    for reason, count in counts.ends.items():
        reason = reason if reason in ENDS else "fault"
        ends[reason] = ends.get(reason, 0) + count
    for reason, count in ends.items():
        yield ENDED, f'reason="{reason}"', count
    for outcome, count in counts.dials.items():
        yield DIALS, label("outcome", outcome), count
    up, down = gate.traffic()
    yield BYTES, 'direction="to_upstream"', up
    yield BYTES, 'direction="to_client"', down
    yield DESYNCS, "", counts.desyncs
    yield RAW, "", counts.raw
    yield NOTES, "", sum(counts.notes.values())
    for outcome, count in proxy.tally.outcomes.items():
        yield EXCHANGES, label("outcome", outcome), count
    yield WATCHED, "", int(gate.watching)


def _faults(proxy: Any, named: int) -> Iterator[Row]:
    """`named` of them by their names, the others together."""
    left: list[Any] = []
    for n, fault in enumerate(proxy.gate.faults.values()):
        if n >= named:
            left.append(fault)
            continue
        mine = f'fault="{escape(fault.name)}"'
        kind = getattr(fault.spec, "kind", None)
        kind_name = "script" if fault.is_script else "roulette" if kind is None else kind.name
        yield ARMED, f'{mine},kind="{escape(kind_name)}"', int(fault.armed)
        yield MATCHED, mine, fault.matched
        yield FIRED, mine, fault.fired
        yield WAITING, mine, fault.waiting if fault.live else 0
        for reason, count in _reasons(fault.skipped).items():
            yield SKIPPED, f'{mine},reason="{escape(reason)}"', count
    if not left:
        return
    mine = f'fault="{REST}"'
    yield ARMED, f'{mine},kind="{REST}"', sum(fault.armed for fault in left)
    yield MATCHED, mine, sum(fault.matched for fault in left)
    yield FIRED, mine, sum(fault.fired for fault in left)
    yield WAITING, mine, sum(fault.waiting for fault in left)
    together: dict[str, int] = {}
    for fault in left:
        for reason, count in fault.skipped.items():
            together[reason] = together.get(reason, 0) + count
    for reason, count in _reasons(together).items():
        yield SKIPPED, f'{mine},reason="{escape(reason)}"', count


def _reasons(counted: dict[str, int]) -> dict[str, int]:
    if len(counted) <= REASONS:
        return counted
    known = dict(sorted(counted.items(), key=lambda one: -one[1])[:REASONS])
    known[REST] = sum(counted.values()) - sum(known.values())
    return known


def _histograms(node: Any) -> Iterator[Histogram]:
    merged: dict[tuple[str, str], Series] = {}
    for n, (name, proxy) in enumerate(node.proxies.items()):
        for command, series in proxy.tally.series.items():
            _merge(merged, (name if n < PROXIES else REST, command), series)
    if any(node.ground.shelf.other.buckets):
        _merge(merged, (REST, OTHER), node.ground.shelf.other)
    for (proxy_name, command), series in merged.items():
        labels_ = f"{label('proxy', proxy_name)},{label('command', command)}"
        yield labels_, BOUNDS, series.buckets, series.sum


def _merge(merged: dict[tuple[str, str], Series], key: tuple[str, str], series: Series) -> None:
    known = merged.get(key)
    if known is None:
        merged[key] = series
        return
    both = Series()
    both.buckets = [a + b for a, b in zip(known.buckets, series.buckets, strict=True)]
    both.sum = known.sum + series.sum
    merged[key] = both
