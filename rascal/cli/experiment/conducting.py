"""The experiment itself, once or several times: agents, the live view, what came out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from rascal.cli.experiment.look import Looking
from rascal.cli.experiment.orders import Order
from rascal.cli.experiment.showing import Watching, shown_for
from rascal.cli.load.going import Interrupts, go
from rascal.cli.load.offering import masked
from rascal.cli.load.reaching import agents_for, link_for
from rascal.cli.load.showing import Shown, Writer
from rascal.errors import RascalError
from rascal.experiment.outcome import Outcome, of_concluded

if TYPE_CHECKING:
    from rascal.experiment.repeating import Repeats
    from rascal.experiment.running import Concluded

EARLY = (4, 130)
"""Statuses after which nothing is repeated."""


class Conducting:
    """Runs an order.

    Args:
        order: what to run.
        given: the flags.
        store: where runs are kept; None keeps nothing.
        started_fd: where a run's id is written to when its load starts.
    """

    def __init__(
        self, order: Order, given: Mapping[str, Any], store: Any, started_fd: int | None = None
    ) -> None:
        self.order = order
        self.given = given
        self.store = store
        self.started_fd = started_fd
        self.quiet = bool(given["quiet"] or given["json_"])
        self.shown: Shown = shown_for(order.title, quiet=given["quiet"], json_=given["json_"])
        self.writer = Writer(self.shown)

    def once(self) -> Outcome:
        """One run. Raises RascalError and KeyboardInterrupt before load starts."""

        async def main(reactor: Any, interrupts: Interrupts, place: Any) -> Outcome:
            return await self._run(reactor, interrupts, place, self.order, "")

        found: Outcome = self._go(main)
        return found

    def several(self, repeats: Repeats) -> tuple[Repeats, list[Outcome]]:
        """Runs with different seeds, until nothing can change any more."""
        outcomes: list[Outcome] = []

        async def main(reactor: Any, interrupts: Interrupts, place: Any) -> None:
            while not repeats.over:
                seed = repeats.next_seed
                experiment = attrs.evolve(self.order.experiment, seed=seed)
                number = f"{repeats.place}: "
                order = attrs.evolve(self.order, experiment=experiment)
                outcome = await self._run(reactor, interrupts, place, order, number)
                outcomes.append(outcome)
                if outcome.verdict is None and outcome.status in EARLY:
                    return
                kept = all(one.kept for one in outcome.objectives)
                one = repeats.add(
                    outcome.run, seed, outcome.verdict, outcome.sentence, objectives=kept
                )
                told = "" if one.counts else ", it proves nothing"
                self.writer.tell(f"{number}seed {seed}: {one.word}{told}")

        self._go(main)
        return repeats, outcomes

    def _go(self, main: Callable[[Any, Interrupts, Any], Any]) -> Any:
        with agents_for(self.order.plan, self.given) as place, self.writer.open():

            async def within(reactor: Any, interrupts: Interrupts) -> Any:
                from twisted.internet.defer import CancelledError

                try:
                    return await main(reactor, interrupts, place)
                except RascalError as error:
                    if interrupts.count:  # what was cut short failed in a way of its own
                        raise CancelledError from error
                    raise

            return go(within, self.writer.tell)

    async def _run(
        self, reactor: Any, interrupts: Interrupts, place: Any, order: Order, number: str
    ) -> Outcome:
        """One run, on the reactor."""
        from rascal.experiment.running import run_experiment

        looking = Looking(order.experiment, order.timeline)
        title = f"{number}{order.title}"
        self.shown.title = title

        def began(run: str, control: Any) -> None:
            if self.store is not None and run:
                self.shown.title = f"run {run}  {title}"
            interrupts.ask = lambda count: control.stop("ctrl-C", now=count > 1)

        link, agents = link_for(reactor, order.plan, self.given, place)
        try:
            done: Concluded = await run_experiment(
                reactor,
                order.experiment,
                link=link,
                agents=agents,
                store=self.store,
                watcher=Watching(
                    self.writer, looking, reactor.callLater, began, self._announce, not self.quiet
                ),
                allow=tuple(self.given["allow"]),
                lenient=self.given["lenient"],
                about={**about(), **order.about},
            )
        finally:
            interrupts.ask = None
        return of_concluded(
            done, order.experiment, stored=self.store is not None, lenient=self.given["lenient"]
        )

    def _announce(self, run: str) -> None:
        if self.started_fd is None:
            return
        with suppress(OSError):
            os.write(self.started_fd, f"{run}\n".encode())
            os.close(self.started_fd)
        self.started_fd = None


def about() -> dict[str, Any]:
    """What the store keeps of how this was started; without passwords."""
    return {"command": masked(sys.argv[1:]), "folder": os.getcwd()}
