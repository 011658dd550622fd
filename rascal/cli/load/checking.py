"""`rascal load run --check-agents`: each agent sends one request, and says how it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.cli.load.going import Interrupts, go, refusing
from rascal.cli.load.reaching import agents_for, link_for
from rascal.cli.load.run import Order, flag_of
from rascal.cli.output import NOT_WELL, as_json, grid, leave, many, say, tick
from rascal.load.checking import Said, ask_agents
from rascal.report.words import time_text

TITLES = ("AGENT", "HOST", "VERSION", "CPU", "LAG", "WELL", "TOOK", "WHAT")


def check_agents(order: Order, given: Mapping[str, Any]) -> None:
    """Ask all agents and leave: 0 if each got an answer, 1 if not."""

    assert order.plan is not None
    with refusing(flag_of), agents_for(order.plan, given) as reached:

        async def main(reactor: Any, interrupts: Interrupts) -> list[Said]:
            assert order.plan is not None
            link, count = link_for(reactor, order.plan, given, reached)
            return await ask_agents(reactor, order.plan, link, count)

        found = go(main)
    if given["json_"]:
        as_json([_data(one) for one in found])
    else:
        grid(TITLES, [_row(one) for one in found], right=("CPU", "LAG", "TOOK"))
        good = sum(one.answered for one in found)
        say(f"{good} of {many(len(found), 'agent')} got an answer; no load was sent")
    leave(0 if found and all(one.answered for one in found) else NOT_WELL)


def _row(one: Said) -> list[str]:
    info = one.info
    what = one.outcome or "no request"
    return [
        info.name,
        info.host,
        info.version,
        f"{info.cpu:.0%}",
        time_text(info.lag),
        tick(one.answered),
        time_text(one.took),
        f"{what}: {one.detail}" if one.detail else what,
    ]


def _data(one: Said) -> dict[str, Any]:
    return {
        **one.info.json(),
        "outcome": one.outcome,
        "detail": one.detail,
        "seconds": one.took,
        "answered": one.answered,
    }
