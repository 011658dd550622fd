"""What a monitoring system scrapes.

GET          /metrics         Prometheus text 0.0.4, or OpenMetrics if Accept prefers it

Exchanges are a sample unless somebody watches them (rascal.proxy.gate), so what is counted of them
is called `sampled`: right for shares and latencies, not for rates.
"""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rascal.control._call import Call
from rascal.control._measures import write_proxies
from rascal.control._site import Api, Reply
from rascal.control.toxiproxy._metrics import write_toxiproxy
from rascal.exposition import PROMETHEUS, Exposition, labels, wants_openmetrics
from rascal.proxy.tally import Series

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Bounds of the buckets of control requests."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OUTSIDE = "_other"
"""The route of requests that no route answers, and their methods if they have no usual one."""

_PAGE = resource.getpagesize()


class Requests:
    """How the API was used: by method, route and status, and how long it took by route."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, int], int] = {}
        self.seconds: dict[str, Series] = {}

    def served(self, request: Any, seconds: float) -> None:
        """A request was answered (rascal.control._site.Served)."""
        method = request.method.decode("latin-1")
        route = request.rule or OUTSIDE
        key = (method if method in METHODS else OUTSIDE, route, int(request.code))
        self.counts[key] = self.counts.get(key, 0) + 1
        series = self.seconds.get(route)
        if series is None:
            series = self.seconds[route] = Series(SECONDS)
        series.add(seconds)


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    requests = Requests()
    api.served.append(requests.served)

    def get_metrics(call: Call) -> Reply:
        """Everything that is measured, for Prometheus."""
        call.query()
        out = Exposition(wants_openmetrics(call.header("accept")))
        write_node(out, call.node)
        write_proxies(out, call.node)
        write_toxiproxy(out, call.node)
        write_requests(out, requests)
        write_process(out)
        return Reply(out.text(), kind=out.kind, headers={"Vary": "Accept"})

    api.add("GET", "/metrics", get_metrics, kind=PROMETHEUS)


def write_node(out: Exposition, node: Any) -> None:
    """What concerns all proxies together."""
    try:
        running = version("rascal")
    except PackageNotFoundError:
        running = "unknown"
    out.info("rascal_build", "What runs here.", labels(version=running))
    budget = node.budget
    for name, help_, value in (
        ("rascal_proxies", "Proxies that there are.", len(node.proxies)),
        ("rascal_panic", "Whether the lever is pulled: faults are refused.", int(node.panic.on)),
        ("rascal_ends_open", "Sockets of connections that are open.", len(node.hangups.ends)),
        ("rascal_held_bytes", "Bytes that faults and slow peers hold back.", budget.held),
        ("rascal_held_bytes_peak", "The most that was held.", budget.peak),
        ("rascal_held_bytes_limit", "From here on every share is small.", budget.bound),
        ("rascal_loop_lag_worst_seconds", "The worst since the last look.", node.lag.worst()),
    ):
        out.gauge(name, help_, [("", value)])
    lag = node.lag.series
    out.histogram(
        "rascal_loop_lag_seconds",
        "How late the event loop called a timer.",
        [("", lag.bounds, lag.buckets, lag.sum)],
    )


def write_requests(out: Exposition, requests: Requests) -> None:
    """How the API is used."""
    out.counter(
        "rascal_control_requests",
        "Requests to the control API.",
        [
            (labels(method=method, route=route, status=str(status)), count)
            for (method, route, status), count in requests.counts.items()
        ],
    )
    out.histogram(
        "rascal_control_request_seconds",
        "How long answers took to be made.",
        [
            (labels(route=route), SECONDS, series.buckets, series.sum)
            for route, series in requests.seconds.items()
        ],
    )


def write_process(out: Exposition) -> None:
    """The process, by the names that all exporters use."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = round(usage.ru_utime + usage.ru_stime, 6)
    out.counter("process_cpu_seconds", "User and system time.", [("", cpu)])
    out.gauge("process_max_fds", "Descriptors that it may have.", [("", _max_fds())])
    found: dict[str, float] = {}
    with suppress(OSError, ValueError, IndexError):  # there is no /proc
        virtual, resident, *_ = Path("/proc/self/statm").read_text().split()
        found["process_virtual_memory_bytes"] = int(virtual) * _PAGE
        found["process_resident_memory_bytes"] = int(resident) * _PAGE
        found["process_open_fds"] = len(os.listdir("/proc/self/fd")) - 1
        found["process_start_time_seconds"] = _STARTED
    for name, value in found.items():
        out.gauge(name, _PROCESS[name], [("", value)])


_PROCESS = {
    "process_virtual_memory_bytes": "Address space.",
    "process_resident_memory_bytes": "Memory that is in use.",
    "process_open_fds": "Descriptors that it has.",
    "process_start_time_seconds": "When it began, since the epoch.",
}


def _max_fds() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _started() -> float:
    """When the process began: proc(5), /proc/self/stat, field 22."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return time.time()
    return round(time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK"), 2)


_STARTED = _started()
