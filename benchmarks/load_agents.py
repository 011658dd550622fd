"""What a second agent costs, and what it gains: CPU per request of two agents against one.

    python benchmarks/load_agents.py [--rounds 5] [--seconds 4] [--rate 1000] [--json FILE]

Whole runs through an embedded Redis against an nginx on loopback. One agent and two take turns
(1 2, 2 1, …); a ratio is made within a round. Two runs each:

    paced      so many arrivals a second on each agent, far from what it could: CPU per request
    saturated  so many users on each agent who ask without a pause: the rate gained

Counted are whole seconds of the middle of the run: the agents' own CPU time over the requests that
they began, reports and beats included. The goal: at most 10 % more for each request with two.

On two cores, coordinator, nginx and Redis share them with the agents: there the rate gained says
more about the machine than about agents.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import attrs

from rascal.reactor import install

install()

# ruff: noqa: E402
from load_client import nginx
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from rascal.language import parse
from rascal.load import embedded
from rascal.load.plan import Plan, Share
from rascal.load.redis_link import RedisLink
from rascal.load.running import Finished, run_load

SOURCE = b"""
from rascal.load import scenario

@scenario
async def page(user):
    (await user.get("/", name="page")).check(status=200)
"""
GOAL = 1.10
FIRST, LAST = 1, -1
"""Seconds at both ends that do not count."""


@attrs.frozen
class Go:
    """One go: microseconds of agents' CPU for a request (paced), requests a second (saturated)."""

    each: float
    rate: float


def figures(finished: Finished) -> tuple[float, float]:
    """What the agents' meters say of the middle of a run: microseconds each, requests a second."""
    cpu = begun = seconds = 0.0
    for meters in finished.results.meters.values():
        whole = [meters[second] for second in sorted(meters) if second >= 0][FIRST:LAST]
        cpu += sum(one.cpu for one in whole)
        begun += sum(one.begun for one in whole)
        seconds = max(seconds, float(len(whole)))
    return cpu / begun * 1e6, begun / seconds


async def once(
    reactor: Any, agents: int, level: str, seconds: float, port: int
) -> tuple[float, float]:
    """One run."""
    profile = parse("profile", f"hold {level} for {seconds + 2:g}s")
    plan = Plan(
        file="page.py",
        shares=(Share(scenarios=("page",), profile=profile),),
        target=f"http://127.0.0.1:{port}",
        max_requests=10**9,
    )
    with embedded.redis() as server, embedded.agents(server.place, agents) as started:
        link = RedisLink(server.place, reactor, patience=60.0, problem=started.problem)
        files = {"page.py": SOURCE}
        return figures(await run_load(reactor, plan, files, link=link, agents=agents))


async def measure(
    reactor: Any, rounds: int, rate: int, users: int, seconds: float
) -> dict[int, list[Go]]:
    """All rounds."""
    found: dict[int, list[Go]] = {1: [], 2: []}
    with nginx() as port:
        for number in range(rounds):
            for agents in (1, 2) if number % 2 == 0 else (2, 1):
                paced, saturated = f"{agents * rate}/s", f"{agents * users} users"
                each, _ = await once(reactor, agents, paced, seconds, port)
                _, most = await once(reactor, agents, saturated, seconds, port)
                go = Go(each, most)
                found[agents].append(go)
                words = f"{go.each:.1f} us CPU a request, {go.rate:,.0f} requests/s"
                print(f"{agents} agent{'s' * (agents > 1)}: {words}", flush=True)
    return found


def summary(found: dict[int, list[Go]]) -> dict[str, Any]:
    """Ratios within rounds, and their medians."""
    pairs = list(zip(found[1], found[2], strict=True))
    dearer = [two.each / one.each for one, two in pairs]
    gained = [two.rate / one.rate for one, two in pairs]
    return {
        "dearer": dearer,
        "gained": gained,
        "dearer_median": statistics.median(dearer),
        "gained_median": statistics.median(gained),
        "each": {many: [go.each for go in goes] for many, goes in found.items()},
        "rate": {many: [go.rate for go in goes] for many, goes in found.items()},
    }


def main() -> None:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=int, default=1000, help="paced, of each agent")
    parser.add_argument("--users", type=int, default=10, help="saturated, of each agent")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="end with 1 if the goal is missed")
    given = parser.parse_args()
    kept: dict[str, Any] = {}

    async def go(reactor: Any) -> None:
        how = given.rounds, given.rate, given.users, given.seconds
        kept.update(summary(await measure(reactor, *how)))

    try:
        react(lambda reactor: Deferred.fromCoroutine(go(reactor)))
    except SystemExit as ended:
        if ended.code:
            raise
    spread = f"{min(kept['dearer']):.2f}-{max(kept['dearer']):.2f}"
    print(
        f"two agents: {kept['dearer_median']:.2f} [{spread}] of the CPU a request (goal at most "
        f"{GOAL:.2f}), {kept['gained_median']:.2f} times the rate"
    )
    if given.json:
        given.json.write_text(json.dumps(kept, indent=2) + "\n")
    if given.check and kept["dearer_median"] > GOAL:
        sys.exit(1)


if __name__ == "__main__":
    main()
