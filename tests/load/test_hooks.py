"""Set-up and tear-down per run, agent and user."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from worlds import Town, total

from rascal.errors import ConfigErrors, LoadError

SOURCE = """
log = []
@once_per_run
async def tenant(user):
    reply = await user.post("/tenants")
    log.append("tenant")
    yield 42
    await user.post("/tenants/gone")
    log.append("no tenant")

@once_per_agent
def files(user):
    log.append(f"files {tenant}")
    return "x"

@once_per_agent
async def cache(user):
    yield
    log.append("no cache")

@once_per_user
async def login(user):
    await user.post("/login", name="login")
    log.append(f"login {user.name}")
    yield
    log.append(f"logout {user.name}")

@scenario("a")
async def a(user):
    await user.get(f"/{tenant}", name="page")
    log.append("page")
"""


def wait(town: Town, deferred: Deferred[Any]) -> Any:
    ended: list[Any] = []
    deferred.addBoth(ended.append)
    for _ in range(1000):
        if ended:
            break
        town.clock.advance(0.01)
    (found,) = ended
    if hasattr(found, "raiseException"):
        found.raiseException()
    return found


def log_of(town: Town) -> list[str]:
    found: list[str] = town.book.scenarios["a"].function.__globals__["log"]
    return found


def test_everything_is_done_and_undone_in_its_order() -> None:
    town = Town(SOURCE)
    log = log_of(town)
    wait(town, town.world.set_up(run=True))
    assert log == ["tenant", "files 42"]
    assert [hook.value for hook in town.book.hooks] == [42, "x", None, None]
    user = town.user(5)
    assert town.run(user)[0] == town.run(user)[0] == "served"
    assert log[2:] == ["login a-5", "page", "page"]
    assert town.asked[-1][2] == "/42"
    wait(town, user.leave())
    wait(town, town.world.tear_down(run=True))
    assert log[5:] == ["logout a-5", "no cache", "no tenant"]
    assert user.leave() is None


def test_an_agent_that_does_not_set_up_the_run_sets_up_itself() -> None:
    town = Town(SOURCE)
    wait(town, town.world.set_up(run=False))
    assert log_of(town) == ["files None"]
    wait(town, town.world.tear_down(run=False))
    assert log_of(town)[1:] == ["no cache"]


def test_what_the_runs_set_up_gave_reaches_other_agents() -> None:
    first, second = Town(SOURCE), Town(SOURCE, index=1, members=(0, 1))
    wait(first, first.world.set_up(run=True))
    assert first.world.run_values() == {"tenant": 42}
    second.world.take_run_values(first.world.run_values())
    wait(second, second.world.set_up(run=False))
    second.run(second.user(1))
    assert second.asked[-1][2] == "/42"


def test_what_cannot_travel_is_said() -> None:
    town = Town(
        "@once_per_run\ndef a(user): return {1, 2}\n@scenario('b')\nasync def b(user): pass\n"
    )
    wait(town, town.world.set_up(run=True))
    with pytest.raises(LoadError, match=r"shop\.py:2: set-up 'a' gave a set; other agents"):
        town.world.run_values()


def test_a_set_up_that_fails_says_where() -> None:
    town = Town(
        "@once_per_run\nasync def tenant(user):\n    await user.post('/t')\n"
        "@scenario('a')\nasync def a(user): pass\n",
        lambda method, url: (0.01, "refused", b""),
    )
    with pytest.raises(LoadError, match=r"shop\.py:4: set-up 'tenant' failed: refused: as told"):
        wait(town, town.world.set_up(run=True))


def test_a_users_set_up_is_a_part_of_its_first_iteration() -> None:
    town = Town(SOURCE)
    user = town.user(1)
    user.due = 999.0
    town.run(user)
    login = total(town.report(), "login")
    assert login.outcomes == {"served": 1}
    assert login.served.total >= 1_000_000


def test_a_users_set_up_that_fails_ends_the_iteration_and_is_tried_again() -> None:
    codes: list[int | str] = ["reset", 200, 200]
    town = Town(SOURCE, lambda method, url: (0.01, codes.pop(0), b"{}"))
    user = town.user(1)
    assert town.run(user) == ("reset", "as told")
    assert town.run(user) == ("served", "")
    assert log_of(town) == ["login a-1", "page"]


def test_a_tear_down_that_fails_is_an_event_and_the_others_run() -> None:
    town = Town(
        "log = []\n"
        "@once_per_user\nasync def one(user):\n    yield\n    log.append('one')\n"
        "@once_per_user\nasync def two(user):\n    yield\n    1 / 0\n"
        "@once_per_user\nasync def three(user):\n    yield\n    yield\n    log.append('never')\n"
        "@scenario('a')\nasync def a(user): pass\n"
    )
    user = town.user()
    town.run(user)
    wait(town, user.leave())
    assert log_of(town) == ["one"]
    texts = [event.text for event in town.report().events]
    assert texts == [
        "shop.py:11: 'three' yields more than once; what follows is left out",
        "shop.py:10: tear-down 'two' failed: division by zero",
    ]


def test_a_hook_must_take_the_user() -> None:
    with pytest.raises(ConfigErrors, match=r"shop.py:2: once_per_user is for a function that tak"):
        Town("@once_per_user\nasync def login(): pass\n@scenario('a')\nasync def a(user): pass\n")
