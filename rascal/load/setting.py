"""Runs the set-ups and tear-downs of a book: `rascal.load.hooks` are what they look like.

An async generator's part before its `yield` is the set-up, the part behind it the tear-down; a
coroutine or a plain function is a set-up only. A set-up that fails ends what it was for: the run
does not begin, or the user's iteration ends. A tear-down that fails is an event.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rascal.errors import LoadError
from rascal.load.hooks import Hook
from rascal.load.recorder import HardEnd
from rascal.load.scenario import Scenario

if TYPE_CHECKING:
    from rascal.load.user import User
    from rascal.load.world import World

Undo = tuple[Hook, Any]
"""A hook and its generator, which stands at its yield."""


class SetUps:
    """The set-ups per run and per agent of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._user: User | None = None
        self._undo: dict[str, list[Undo]] = {"run": [], "agent": []}

    async def set_up(self, run: bool) -> None:
        """Those per run (with `run`), then those per agent, in the order in which they stand."""
        for when in ("run", "agent") if run else ("agent",):
            for hook in self._world.book.hooks:
                if hook.when == when:
                    await self._one(hook)

    async def _one(self, hook: Hook) -> None:
        try:
            hook.value = await do(hook, self._actor(hook), self._undo[hook.when])
        except Exception as error:
            place = self._world.book.place(error) or str(hook.place)
            said = str(error) or type(error).__name__
            raise LoadError(f"{place}: set-up '{hook.name}' failed: {said}") from error

    def _actor(self, hook: Hook) -> User:
        if self._user is None:
            scenario = Scenario(name="set-up", function=hook, place=hook.place)
            self._user = self._world.user(self._world.index, scenario)
        return self._user

    def values(self) -> dict[str, Any]:
        """What the set-ups per run gave, as plain JSON, for the other agents."""
        found = {}
        for hook in self._world.book.hooks:
            if hook.when == "run" and hook.value is not None:
                try:
                    found[hook.name] = json.loads(json.dumps(hook.value))
                except (TypeError, ValueError):
                    kind = type(hook.value).__name__
                    raise LoadError(
                        f"{hook.place}: set-up '{hook.name}' gave a {kind}; other agents can get "
                        "texts, numbers, lists and dicts only"
                    ) from None
        return found

    def take(self, values: Mapping[str, Any]) -> None:
        """What the set-ups per run gave on the agent that ran them."""
        for hook in self._world.book.hooks:
            if hook.when == "run" and hook.name in values:
                hook.value = values[hook.name]

    async def tear_down(self, run: bool) -> None:
        """Undo what was set up, backwards."""
        for when in ("agent", "run") if run else ("agent",):
            undo, self._undo[when] = self._undo[when], []
            await undo_all(self._world, undo)
        if self._user is not None and run:
            self._user = None


async def do(hook: Hook, user: User, undo: list[Undo]) -> Any:
    """Run one set-up; its generator, if it is one, goes to `undo`.

    Returns:
        What the set-up returned or yielded.
    """
    made = hook.function(user)
    if inspect.isasyncgen(made):
        try:
            value = await anext(made)
        except StopAsyncIteration:
            return None
        undo.append((hook, made))
        return value
    if inspect.isawaitable(made) or isinstance(made, Deferred):
        return await made
    return made


async def undo_all(world: World, undo: list[Undo]) -> None:
    """Run tear-downs backwards; one that fails does not keep the others from running."""
    while undo:
        hook, generator = undo.pop()
        try:
            await anext(generator)
        except StopAsyncIteration:
            continue
        except (Exception, HardEnd) as error:
            place = world.book.place(error) or str(hook.place)
            said = str(error) or type(error).__name__
            text = f"{place}: tear-down '{hook.name}' failed: {said}"
            world.once(f"tear-down {place}", "error", text, hook=hook.name)
            continue
        text = f"{hook.place}: '{hook.name}' yields more than once; what follows is left out"
        world.once(f"tear-down {hook.place}", "error", text, hook=hook.name)
        await generator.aclose()
