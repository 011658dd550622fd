"""Set-up and tear-down: once per run, once per agent, once per user.

    @once_per_user
    async def login(user):
        await user.post("/login", json={"name": user.name}, name="login")

    @once_per_run
    async def tenant(user):                  # before the yield set-up, after it tear-down
        reply = await user.post("/tenants")
        yield (await reply.json())["id"]     # the value: tenant.value
        await user.delete(f"/tenants/{tenant}")

Set-ups run in the order in which they stand, tear-downs backwards. What the user's requests do
in set-ups per run and per agent is not recorded: no load is offered yet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from rascal.load.collecting import collector, place_of

When = Literal["run", "agent", "user"]


class Hook:
    """One set-up, with its tear-down if its function is an async generator."""

    __slots__ = ("function", "name", "place", "value", "when")

    def __init__(self, function: Callable[..., Any], when: When) -> None:
        self.function = function
        self.when = when
        self.name = getattr(function, "__name__", when)
        self.place = place_of(function)
        self.value: Any = None
        """What a set-up per run or per agent gave, in this process."""
        if not callable(function) or not takes_user(function):
            self.place.problem(f"once_per_{when} is for a function that takes the user: {WRITE}")
        found = collector()
        if found is not None:
            found.hooks.append(self)

    def __str__(self) -> str:
        return str(self.value)

    def __call__(self, user: Any) -> Any:
        return self.function(user)


WRITE = "write async def name(user)"


def takes_user(function: Callable[..., Any]) -> bool:
    """Can it be called with one argument?"""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True


def once_per_run(function: Callable[..., Any]) -> Hook:
    """Once in the whole run, by one agent, before load begins."""
    return Hook(function, "run")


def once_per_agent(function: Callable[..., Any]) -> Hook:
    """Once in every process that sends load, before load begins."""
    return Hook(function, "agent")


def once_per_user(function: Callable[..., Any]) -> Hook:
    """Once for every user, at the beginning of its first iteration, and recorded like it."""
    return Hook(function, "user")
