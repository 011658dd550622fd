"""The agents by host: state, run, CPU, lag, clock, version; one request of each."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from rascal.control._problems import Problem
from rascal.errors import ConfigErrors, RascalError
from rascal.panel.agents import Agents
from rascal.panel.comparing import spaced
from rascal.panel.site import Call, Panel
from rascal.report.words import time_text

EXAMPLE = "redis://127.0.0.1:6379"


def routes(panel: Panel) -> None:
    """Add the addresses."""
    agents = Agents(panel)
    if agents.shared:  # what the first look needs, before anybody waits for it
        import_module("rascal.load._redis")
        import_module("rascal.load.beats")
    panel.templates.filters |= {"time": lambda seconds: spaced(time_text(seconds))}
    panel.page("/agents", partial(_page, agents))
    panel.api("GET", "/api/v1/agents", partial(_list, agents))
    panel.api("POST", "/api/v1/agents/check", partial(_check, agents), "operator")


async def _page(agents: Agents, call: Call) -> Any:
    found = await agents.now()
    return "agents.html", {
        "title": "Agents",
        "found": found,
        "command": command(found["redis"]),
        "may_run": call.caller.may("operator"),
    }


def command(redis: str) -> str:
    """What starts an agent, without any password."""
    url = f"redis://{redis}" if redis and not redis.startswith("unix:") else redis or EXAMPLE
    return f"twistd -n --pidfile= rascal-agent --redis {url}"


async def _list(agents: Agents, call: Call) -> Any:
    return await agents.now()


async def _check(agents: Agents, call: Call) -> Any:
    """{"target": "http://…"}: what one request of each agent that waits came to."""
    body = call.body()
    target = body.get("target") if isinstance(body, dict) else None
    if not isinstance(target, str) or not target.strip():
        text = "which target? its base URL, such as http://127.0.0.1:8080"
        raise Problem(422, "not-allowed", text, pointer="/target")
    try:
        return {"agents": await agents.check(target.strip())}
    except (Problem, ConfigErrors):
        raise
    except RascalError as error:
        raise Problem(409, "agents", str(error)) from error
