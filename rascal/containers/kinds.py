"""What can happen to a container: each kind strikes, and knows how to undo it.

A kind is a function of a container and its options; it gives what has to be done to undo it, as
plain data (a `Mend`), before it strikes, so that this can be written down first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rascal.containers.errors import ContainerError
from rascal.options import Option, OptionTable

Data = dict[str, Any]
SETTLES = 30.0
"""Seconds in which a container must have become what was asked for."""


@attrs.frozen
class Kind:
    """One kind of container fault."""

    name: str
    help: str
    options: OptionTable
    look: Callable[[Any, Mapping[str, Any]], Data]
    """What is needed to undo it."""
    strike: Callable[[Any, Mapping[str, Any], Data], None]
    undo: Callable[[Any, Data], None]


def state_of(container: Any) -> str:
    """running, paused, exited, …"""
    container.reload()
    return str(container.status)


def _wait(container: Any, *states: str) -> None:
    ends = time.monotonic() + SETTLES
    while state_of(container) not in states:
        if time.monotonic() > ends:
            raise ContainerError(
                f"{container.name} is still {container.status} after {SETTLES:g} s, not "
                f"{' or '.join(states)}"
            )
        time.sleep(0.02)


def _must_run(container: Any, options: Mapping[str, Any]) -> Data:
    state = state_of(container)
    if state != "running":
        raise ContainerError(f"{container.name} is {state}: only what runs can be struck")
    return {}


def _pause(container: Any, options: Mapping[str, Any], data: Data) -> None:
    container.pause()


def _unpause(container: Any, data: Data) -> None:
    if state_of(container) == "paused":
        container.unpause()
    _wait(container, "running", "exited", "dead")


def _kill(container: Any, options: Mapping[str, Any], data: Data) -> None:
    container.kill(options.get("signal") or "SIGKILL")


def _stop(container: Any, options: Mapping[str, Any], data: Data) -> None:
    container.stop(timeout=round(options.get("grace", 10.0)))


def _restart(container: Any, options: Mapping[str, Any], data: Data) -> None:
    container.restart(timeout=round(options.get("grace", 10.0)))


def _start(container: Any, data: Data) -> None:
    state = state_of(container)
    if state == "paused":
        container.unpause()
    elif state != "running":
        container.start()
    _wait(container, "running")


def _networks(container: Any, options: Mapping[str, Any]) -> Data:
    _must_run(container, options)
    known = container.attrs["NetworkSettings"]["Networks"]
    wanted = options.get("network")
    found = {
        name: {
            "id": one["NetworkID"],
            "aliases": [a for a in one.get("Aliases") or () if a != container.short_id],
            "links": one.get("Links"),
            "ipv4": (one.get("IPAMConfig") or {}).get("IPv4Address"),
            "ipv6": (one.get("IPAMConfig") or {}).get("IPv6Address"),
        }
        for name, one in known.items()
        if wanted in (None, name) or name.endswith(f"_{wanted}")
    }
    if not found:
        raise ContainerError(
            f"{container.name} is not on a network '{wanted}'; networks: {', '.join(known)}"
        )
    return {"networks": found}


def _disconnect(container: Any, options: Mapping[str, Any], data: Data) -> None:
    for one in data["networks"].values():
        container.client.networks.get(one["id"]).disconnect(container, force=True)


def _connect(container: Any, data: Data) -> None:
    container.reload()
    known = {one["NetworkID"] for one in container.attrs["NetworkSettings"]["Networks"].values()}
    for one in data["networks"].values():
        if one["id"] not in known:
            container.client.networks.get(one["id"]).connect(
                container,
                aliases=one["aliases"] or None,
                links=one["links"] or None,
                ipv4_address=one["ipv4"] or None,
                ipv6_address=one["ipv6"] or None,
            )


_LIMITS = ("NanoCpus", "CpuQuota", "CpuPeriod", "Memory", "MemorySwap")
_PERIOD = 100_000
"""Microseconds; a limit of cores is a quota of it."""


def _limits(container: Any, options: Mapping[str, Any]) -> Data:
    _must_run(container, options)
    return {name: container.attrs["HostConfig"].get(name) or 0 for name in _LIMITS}


def _limit_cpu(container: Any, options: Mapping[str, Any], data: Data) -> None:
    quota = max(1000, round(options["cpu"] * _PERIOD))
    container.client.api.update_container(container.id, cpu_period=_PERIOD, cpu_quota=quota)


def _free_cpu(container: Any, data: Data) -> None:
    if data["NanoCpus"]:
        period, quota = _PERIOD, round(data["NanoCpus"] / 1e9 * _PERIOD)
    else:
        period, quota = data["CpuPeriod"] or _PERIOD, data["CpuQuota"] or -1
    container.client.api.update_container(container.id, cpu_period=period, cpu_quota=quota)


def _limit_memory(container: Any, options: Mapping[str, Any], data: Data) -> None:
    size = int(options["memory"])
    container.client.api.update_container(container.id, mem_limit=size, memswap_limit=size)


def _free_memory(container: Any, data: Data) -> None:
    size, swap = data["Memory"], data["MemorySwap"]
    if not size:
        # The engine does not take "no limit" back; all of the machine's memory is as good.
        size = container.client.info()["MemTotal"]
        swap = -1
    container.client.api.update_container(container.id, mem_limit=size, memswap_limit=swap or -1)


_GRACE = Option("grace", "duration", "Until it is killed", 10.0, minimum=0, maximum=600)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "pause", "Freeze all its processes: connections stay, nobody answers", OptionTable(),
            _must_run, _pause, _unpause,
        ),
        Kind(
            "kill", "Kill it, as the machine's memory guard does; started again at the end",
            OptionTable(Option("signal", "text", "The signal", "SIGKILL")),
            _must_run, _kill, _start,
        ),
        Kind(
            "stop", "Stop it in order; started again at the end", OptionTable(_GRACE),
            _must_run, _stop, _start,
        ),
        Kind(
            "restart", "Stop it and start it at once", OptionTable(_GRACE),
            _must_run, _restart, _start,
        ),
        Kind(
            "disconnect", "Take it off its networks; packets vanish, its name does too",
            OptionTable(Option("network", "text", "Of which network; default all")),
            _networks, _disconnect, _connect,
        ),
        Kind(
            "limit_cpu", "Give it so many cores and no more",
            OptionTable(Option("cpu", "number", "Cores", required=True, minimum=0.01)),
            _limits, _limit_cpu, _free_cpu,
        ),
        Kind(
            "limit_memory", "Give it so much memory and no more; beyond it is killed",
            OptionTable(Option("memory", "size", "Bytes", required=True, minimum=6 * 2**20)),
            _limits, _limit_memory, _free_memory,
        ),
    )
}  # fmt: skip
"""By name."""
