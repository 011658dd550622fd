"""`rascal load run --once`: one iteration of each chosen scenario, printed request by request.

    GET /catalogue?n=20  catalogue
      200 in 12ms  1.4 KB of application/json, set cookie session=3f2a…
      {"items": [{"id": 1, …
      ✓ status=200  ✓ json=$.items  ✗ within=500ms: took 612ms
      check_failed: within 500ms: took 612ms

It goes the way that load goes (same client, checks, retries, set-ups), with talkative users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rascal.cli.load.going import Interrupts, go, refusing
from rascal.cli.load.run import Order, flag_of
from rascal.cli.load.saying import Teller
from rascal.cli.output import NOT_WELL, as_json, leave, many, say

if TYPE_CHECKING:
    from rascal.load.world import World

WELL = "served"


def once(order: Order, *, json_: bool = False) -> None:
    """Run them and leave: 0 if all ended well, 1 if not."""
    teller = Teller(quiet=json_)

    async def main(reactor: Any, interrupts: Interrupts) -> None:
        await _iterations(reactor, order, teller)

    with refusing(flag_of):
        go(main, lambda text: say(text, err=True))
    if json_:
        as_json(teller.data())
    bad = [one for one in teller.iterations if one["outcome"] != WELL]
    if not json_ and len(teller.iterations) > 1:
        good = len(teller.iterations) - len(bad)
        say()
        say(f"{good} of {many(len(teller.iterations), 'scenario')} went well")
    leave(NOT_WELL if bad else 0)


async def _iterations(reactor: Any, order: Order, teller: Teller) -> None:
    from rascal.cli.load.reaching import targets_for

    assert order.plan is not None
    plan, book = order.plan, order.book
    targets = targets_for(plan, order.token)
    await targets.check(reactor, plan)
    world = _world(reactor, plan, book, targets, teller)
    try:
        await world.set_up(run=True)
        for number, name in enumerate(_chosen(plan)):
            await _one(world, number, name, teller)
    finally:
        await world.tear_down(run=True)
        world.close()
        await world.client.close()


def _chosen(plan: Any) -> Sequence[str]:
    """The scenarios of all shares, each once."""
    return list(dict.fromkeys(name for share in plan.shares for name in share.scenarios))


async def _one(world: World, number: int, name: str, teller: Teller) -> None:
    from twisted.internet.task import deferLater

    scenario = world.book.scenarios[name]
    teller.begin(name)
    user = world.user(number, scenario)
    began = user.due = world.now()
    outcome, detail = await scenario.iterate(user)
    took = world.now() - began
    await deferLater(world.clock, 0)  # the last call is counted behind the code that waited for it
    teller.end(name, outcome, detail, took)
    leaving = user.leave()
    if leaving is not None:
        await leaving


def _world(reactor: Any, plan: Any, book: Any, targets: Any, teller: Teller) -> World:
    """A world whose users, replies and recorder tell what they do."""
    from rascal.load.checks import check, compiled
    from rascal.load.http.client import Client
    from rascal.load.http.response import Response
    from rascal.load.recorder import Recorder
    from rascal.load.types import Call
    from rascal.load.user import User
    from rascal.load.world import World

    class ToldResponse(Response):
        """Says of each check whether it holds."""

        __slots__ = ()

        def check(self, **wanted: Any) -> Any:
            found = check(self, wanted)
            said = [
                (name, value, compiled({name: value}).lacks(self)) for name, value in wanted.items()
            ]
            teller.checked(said)
            return found

        def reduced(self) -> Any:
            teller.line("reduced service")
            return super().reduced()

    class ToldRecorder(Recorder):
        """Says what a call came to, and what user code did wrong."""

        def done(self, call: Call) -> None:
            super().done(call)
            teller.done(call)

        def amend(self, call: Call, outcome: str, detail: str = "") -> None:
            super().amend(call, outcome, detail)
            teller.done(call)

        def event(self, kind: str, text: str, **data: Any) -> None:
            teller.event(kind, text, data)

    class ToldUser(User):
        """Says what it sends and what comes back."""

        def get(self, url: Any, **given: Any) -> Any:
            return self.request("GET", url, **given)  # not by a shorter way

        def request(self, method: str, url: Any, **given: Any) -> Any:
            number = teller.sent(method, str(url), given)
            deferred = super().request(method, url, **given)

            def came(response: Any) -> Any:
                if type(response) is Response:
                    response.__class__ = ToldResponse
                teller.came(number, response)
                return response

            def failed(failure: Any) -> Any:
                teller.failed(number, failure.value)
                return failure

            return deferred.addCallbacks(came, failed)

        def sleep(self, seconds: float) -> Any:
            if seconds > 0:
                teller.line(f"waits {seconds:.1f}s")
            return super().sleep(seconds)

    class ToldWorld(World):
        """Makes such users."""

        def user(self, number: int, scenario: Any) -> Any:
            if isinstance(scenario, str):
                scenario = self.book.scenarios[scenario]
            return ToldUser(self, number, scenario)

    recorder = ToldRecorder("once", "local", reactor.seconds(), clock=reactor.seconds)
    client = Client(reactor, plan, targets)
    return ToldWorld(plan, book, recorder, client, reactor, "local", 0, (0,))
