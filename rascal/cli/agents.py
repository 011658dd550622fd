"""`rascal agents`, also `rascal load agents`: the agents that wait at a Redis."""

from __future__ import annotations

import os
from typing import Any

import click

from rascal.cli.load.going import Interrupts, go, refusing
from rascal.cli.load.reaching import REDIS, namespace_of, place_of, token_of
from rascal.cli.output import NOT_WELL, as_json, grid, leave, say
from rascal.report.words import time_text

TITLES = ("AGENT", "HOST", "PID", "VERSION", "STATE", "RUN", "CPU", "LAG", "CLOCK", "PROBLEM")
DEFAULT = "redis://127.0.0.1:6379"


@click.command()
@click.option(
    "--redis", metavar="URL", help=f"Where agents wait; RASCAL_REDIS without it ({DEFAULT})."
)
@click.option("--namespace", metavar="NAME", help="Before the names of all keys there (rascal).")
@click.option("--token-file", metavar="FILE", help="Holds the token that agents share.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def agents(redis: str | None, namespace: str | None, token_file: str | None, json_: bool) -> None:
    """List the agents that wait at a Redis, or work.

    \b
    on each machine:  twistd -n --pidfile= rascal-agent --redis redis://redis.internal:6379
    here:             rascal agents --redis redis://redis.internal:6379

    CPU is the share of one core that the agent uses, LAG the greatest delay of its reactor since
    its last sign of life, CLOCK by how much it may be wrong about Redis' time. PROBLEM says why
    an agent cannot be used: another version, another token. The exit status is 1 if none can.
    """
    from rascal.load.messages import Keys

    with refusing():
        place = place_of(redis or os.environ.get(REDIS, DEFAULT))
        token = token_of(token_file)
        keys = Keys(namespace_of(namespace))

        async def main(reactor: Any, interrupts: Interrupts) -> list[Any]:
            from rascal.load._redis import Redis
            from rascal.load.beats import read_beats
            from rascal.load.messages import Seal

            connection = Redis(place, reactor, "listing")
            try:
                await connection.connect()
                return await read_beats(connection, keys, Seal(token))
            finally:
                await connection.close()

        found = go(main)
    if json_:
        as_json([as_data(one) for one in found])
    elif found:
        grid(TITLES, [row_of(one) for one in found], right=("PID", "CPU", "LAG", "CLOCK"))
    else:
        say(f"no agent waits at {place}", err=True)
        hint = f"twistd -n --pidfile= rascal-agent --redis redis://{place}"
        say(f"one is started by: {hint}", err=True)
    if not any(not one.problem for one in found):
        leave(NOT_WELL)


def row_of(beat: Any) -> list[str]:
    """One agent."""
    return [
        beat.name,
        beat.host,
        str(beat.pid),
        beat.version,
        beat.state,
        beat.run,
        f"{beat.cpu:.0%}",
        time_text(beat.lag),
        f"±{time_text(beat.clock_error)}",
        beat.problem,
    ]


def as_data(beat: Any) -> dict[str, Any]:
    """The same for programs: times in seconds, CPU as a share of one core."""
    names = ("name", "host", "pid", "version", "python", "state", "run", "cpu", "lag")
    found = {name: getattr(beat, name) for name in names}
    return {**found, "clock_error": beat.clock_error, "problem": beat.problem}
