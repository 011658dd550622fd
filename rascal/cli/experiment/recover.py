"""`rascal experiment recover`: take away what experiments left behind whose process is gone.

A living experiment renews its leases every few seconds; one that is not renewed for longer belongs
to a process that is dead, or cannot reach the node any more. Its faults would lift themselves when
the lease ends; containers that were struck stay so until somebody undoes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from rascal.cli.output import NOT_WELL, as_json, grid, leave
from rascal.report.words import span

if TYPE_CHECKING:
    from rascal.control.client import Client

TITLES = ("WHERE", "OF", "WHAT", "OUTCOME")
EVERY = 0.5
SLACK = 1.5
"""Seconds by which a renewal may be late."""


@attrs.define(kw_only=True)
class Left:
    """Something that an experiment holds."""

    where: str
    owner: str
    what: str
    outcome: str = ""
    good: bool = True


@click.command()
@click.option("--node", "nodes", multiple=True, metavar="URL",
              help="A node to look at; RASCAL_URL without it. Repeatable.")  # fmt: skip
@click.option("--force", is_flag=True, help="End what living experiments hold, too.")
@click.option("--dry", is_flag=True, help="Only show what there is.")
@click.option("--no-containers", is_flag=True, help="Leave containers alone.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def recover(
    nodes: tuple[str, ...], force: bool, dry: bool, no_containers: bool, json_: bool
) -> None:
    """Take away what dead experiments left behind: faults on proxies, struck containers.

    What a living experiment holds is left alone. Exit status: 0 all is undone, or there was
    nothing; 1 something could not be undone.
    """
    from rascal.cli.calling import manners
    from rascal.control.client._access import usual_url

    found: list[Left] = []
    with manners():
        for url in nodes or (usual_url(),):
            found += _node(url, force=force, dry=dry)
    if not no_containers:
        found += _containers(dry=dry)
    if json_:
        as_json([attrs.asdict(one) for one in found])
    else:
        grid(
            TITLES,
            [(one.where, one.owner, one.what, one.outcome) for one in found],
            give="WHAT",
            paint={"OUTCOME": lambda text: click.style(text, bold=True)},
            empty="no experiment has left anything behind",
        )
    leave(0 if all(one.good for one in found) else NOT_WELL)


def _node(url: str, *, force: bool, dry: bool) -> list[Left]:
    """Leases of one node."""
    from rascal.control.client import Client
    from rascal.experiment.conductor import OWNER

    found = []
    with Client(url) as client:
        alive, dead = told_apart(client, OWNER, time.sleep)
        for id_, lease in {**dead, **alive}.items():
            holds = ", ".join(lease["holds"]) or "nothing any more"
            one = Left(where=client.url, owner=id_.removeprefix(OWNER), what=holds)
            if id_ in alive and not force:
                one.outcome = "alive: left alone"
            elif dry:
                left = lease.get("expires_in")
                one.outcome = "would be removed" + (f", ends in {span(left)}" if left else "")
            else:
                one.outcome = _ended(client, id_)
                one.good = one.outcome.startswith("removed")
            found.append(one)
    return found


def _ended(client: Client, lease: str) -> str:
    from rascal.control.client import Refused

    try:
        client.end_lease(lease)
    except Refused as error:
        return "removed by itself" if error.status == 404 else f"stays: {error}"
    return "removed"


def told_apart(
    client: Any, prefix: str, wait: Callable[[float], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leases that are renewed, and those that are not any more.

    A lease that was renewed lately is watched until it is renewed again, or should have been.
    """
    from rascal.experiment.conductor import LEASE

    late = LEASE / 3 + SLACK
    first = _ours(client.leases(), prefix)
    last, alive = first, {}
    looks = int(late / EVERY) + 1
    for _ in range(looks):
        waiting = [id_ for id_ in last if id_ not in alive and _age(last[id_]) < late]
        if not waiting:
            break
        wait(EVERY)
        now = _ours(client.leases(), prefix)
        alive.update(
            {id_: one for id_, one in now.items() if id_ in last and _age(one) < _age(last[id_])}
        )
        last = now
    return alive, {id_: one for id_, one in last.items() if id_ not in alive}


def _ours(leases: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {id_: one for id_, one in leases.items() if id_.startswith(prefix)}


def _age(lease: Mapping[str, Any]) -> float:
    """Seconds since it was renewed."""
    left = lease.get("expires_in")
    return 0.0 if left is None else float(lease["seconds"]) - float(left)


def _containers(*, dry: bool) -> Iterator[Left]:
    """What stands in the journal of struck containers, of processes that are gone."""
    from rascal.containers import ContainerError, Journal
    from rascal.containers import recover as undo

    entries = list(Journal().entries())
    for one in entries:
        if one.alive:
            yield _left(one, "alive: left alone")
        elif dry:
            yield _left(one, "would be undone")
    dead = [one for one in entries if not one.alive]
    if dry or not dead:
        return
    try:
        outcomes: Sequence[tuple[Any, str]] = undo()
    except ContainerError as error:
        outcomes = [(one, str(error)) for one in dead]
    for entry, why in outcomes:
        yield _left(entry, f"stays: {why}" if why else "undone", good=not why)


def _left(entry: Any, outcome: str, *, good: bool = True) -> Left:
    from rascal.experiment.conductor import OWNER

    return Left(
        where="container",
        owner=str(entry.owner).removeprefix(OWNER),
        what=f"{entry.kind} of {entry.name}",
        outcome=outcome,
        good=good,
    )
