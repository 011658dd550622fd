"""From samples to ratios with their spread, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import attrs
from measure import Case, Sample

Results = dict[str, dict[str, list[Sample]]]
"""Samples by case and lane, one a round."""


def ratios(samples: list[Sample], base: list[Sample]) -> list[float]:
    """Each round's rate by that of the base in the same round, sorted."""
    return sorted(
        one.rate / other.rate for one, other in zip(samples, base, strict=False) if other.rate
    )


def spread(values: list[float]) -> str:
    """`0.62 [0.55-0.70]`: median, least, most."""
    return f"{median(values):.2f} [{values[0]:.2f}-{values[-1]:.2f}]" if values else "-"


def table(case: Case, lanes: dict[str, list[Sample]]) -> list[str]:
    """A case's lines."""
    lines = [f"{case.name}"]
    head = f"  {'lane':<10} {'rate':>13}  {'of direct':<18} {'of haproxy':<18}"
    lines.append(f"{head} {'p50':>8} {'p99':>8}  {'proxy CPU':>12}")
    for name, samples in lanes.items():
        direct = spread(ratios(samples, lanes["direct"])) if name != "direct" else ""
        rival = lanes.get("haproxy", []) if name != "haproxy" else []
        other = spread(ratios(samples, rival)) if rival and name != "direct" else ""
        rate = median(one.rate for one in samples)
        shown = f"{rate / 1e6:,.0f} MB/s" if case.unit == "byte" else f"{rate:,.0f}/s"
        times = [_millis([getattr(one, which) for one in samples]) for which in ("p50", "p99")]
        cost = "" if name == "direct" else _cost(case, samples)
        lines.append(
            f"  {name:<10} {shown:>13}  {direct:<18} {other:<18} "
            f"{times[0]:>8} {times[1]:>8}  {cost:>12}".rstrip()
        )
    return lines


def _millis(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known) * 1e3:.2f}ms" if known else ""


def _cost(case: Case, samples: list[Sample]) -> str:
    each = median(one.cpu for one in samples)
    return f"{each * 1e9:.2f} s/GB" if case.unit == "byte" else f"{each * 1e6:.1f} us"


def summary(results: Results) -> dict[str, Any]:
    """Medians and spreads, for JSON."""
    made: dict[str, Any] = {}
    for case, lanes in results.items():
        made[case] = {}
        for name, samples in lanes.items():
            paired = ratios(samples, lanes["direct"])
            made[case][name] = {
                "rate": median(one.rate for one in samples),
                "cpu": median(one.cpu for one in samples),
                "of_direct": {"median": median(paired), "min": paired[0], "max": paired[-1]}
                if paired
                else None,
                "samples": [attrs.asdict(one) for one in samples],
            }
    return made


def machine() -> dict[str, Any]:
    """Where this was measured, and with what."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "congestion": _read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "python": platform.python_version(),
        "twisted": _package("Twisted"),
        "rascal": _commit() or _package("rascal"),
        "haproxy": _first(["haproxy", "-v"]),
        "nginx": _first(["nginx", "-v"]),
        "toxiproxy": _first(["toxiproxy-server", "-version"]),
        "redis": _first(["redis-server", "--version"]),
        "memcached": _first(["memcached", "-V"]),
        "mysql": _first(["mysqld", "--version"]),
        "load": os.getloadavg()[0],
    }


def write(path: Path, values: dict[str, Any]) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _cpu() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    return _first(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"])


def _first(command: list[str]) -> str:
    """The first line that a program says of itself, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].strip() if lines and not done.returncode else ""
