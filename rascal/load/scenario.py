"""Scenarios: what one simulated user does, as a decorated `async def` over a user.

    @scenario("buy", weight=2, think="1s..3s", deadline="10s", tags=["money"])
    async def buy(user): …

A plain function that returns a Deferred (or nothing) will do as well. The decorator gives the
scenario; calling it runs the function, so one scenario may use another.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs

from rascal.errors import ConfigError
from rascal.load.collecting import Place, collector, place_of
from rascal.load.hooks import takes_user
from rascal.load.parameters import distribution, seconds
from rascal.options import Distribution

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from rascal.load.user import User

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@attrs.frozen(kw_only=True, eq=False)
class Scenario:
    """One scenario of a book."""

    name: str
    function: Callable[[Any], Any]
    weight: float = 1.0
    """How often it is chosen among the scenarios of one share."""
    think: Distribution | None = None
    """What `user.think()` draws from."""
    pace: Distribution | None = None
    """From the start of one iteration of a user to the start of its next (closed model)."""
    deadline: float | None = None
    """Seconds after which an iteration is given up."""
    tags: tuple[str, ...] = ()
    place: Place

    def __call__(self, user: Any) -> Any:
        return self.function(user)

    def run(self, user: User) -> Deferred[None]:
        """One iteration; fails if it ended early. Without set-up and deadline: see `iterate`."""
        from rascal.load.iterating import run

        return run(self, user)

    def iterate(self, user: User) -> Deferred[tuple[str, str]]:
        """One iteration with everything around it; never fails.

        Returns:
            A Deferred of (outcome, detail). Cancelled, it fires at once with "timeout".
        """
        from rascal.load.iterating import iterate

        return iterate(self, user)


def scenario(
    name: str | Callable[..., Any] = "",
    *,
    weight: float = 1,
    think: Any = None,
    pace: Any = None,
    deadline: Any = None,
    tags: Iterable[str] = (),
) -> Any:
    """Make a function a scenario.

    Args:
        name: of the scenario; the function's if left out.
        weight: how often it is chosen beside others, any number above 0.
        think: what `user.think()` waits for, such as "1s..3s" or "exponential(2s)".
        pace: from one start to the next of the same user (closed model), such as "10s".
        deadline: after which an iteration is cancelled and counts as timeout.
        tags: words to choose scenarios by.
    """
    if callable(name):
        return _made(name, "", 1, None, None, None, ())

    def decorate(function: Callable[..., Any]) -> Scenario:
        return _made(function, name, weight, think, pace, deadline, tags)

    return decorate


def _made(
    function: Callable[..., Any],
    name: Any,
    weight: Any,
    think: Any,
    pace: Any,
    deadline: Any,
    tags: Any,
) -> Scenario:
    place = place_of(function)
    name = name or getattr(function, "__name__", "")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        place.problem(
            f"'{name}' cannot name a scenario: use letters, digits, '_', '-' and '.', a letter "
            "first, 64 characters at most"
        )
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9:
        place.problem(f"scenario '{name}': weight is a number above 0, found {weight!r}")
        weight = 1
    _check_function(place, str(name), function)
    words = (tags,) if isinstance(tags, str) else tuple(tags)
    if not all(isinstance(word, str) for word in words):
        place.problem(f"scenario '{name}': tags are texts, found {tags!r}")
    made = Scenario(
        name=str(name),
        function=function,
        weight=float(weight),
        think=_text(place, distribution, think, f"think of scenario '{name}'"),
        pace=_text(place, distribution, pace, f"pace of scenario '{name}'"),
        deadline=_text(place, _deadline, deadline, f"deadline of scenario '{name}'"),
        tags=tuple(str(word) for word in words),
        place=place,
    )
    _register(made)
    return made


def _check_function(place: Place, name: str, function: Any) -> None:
    if not callable(function):
        place.problem(f"scenario '{name}' decorates {function!r}, which is no function")
    elif inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        place.problem(f"scenario '{name}' yields: write async def and await what takes time")
    elif not takes_user(function):
        place.problem(f"scenario '{name}' must take the user: write async def {name}(user)")


def _register(made: Scenario) -> None:
    found = collector()
    if found is None:
        return
    if made.name in found.scenarios:
        first = found.scenarios[made.name].place
        made.place.problem(f"there are two scenarios '{made.name}'; the first is at {first}")
        return
    found.scenarios[made.name] = made


def _text(place: Place, read: Callable[[Any, str], Any], written: Any, what: str) -> Any:
    if written is None:
        return None
    try:
        return read(written, what)
    except ConfigError as error:
        place.problem(error.message, value=error.value, allowed=error.allowed, code=error.code)
        return None


def _deadline(written: Any, what: str) -> float:
    value = seconds(written, what)
    if value <= 0:
        raise ConfigError(f"{what} must be above 0")
    return value
