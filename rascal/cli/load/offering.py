"""The run itself: store, agents, the view while it goes on, the report at its end."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rascal.cli.load.ending import Ended, lines_of
from rascal.cli.load.going import Interrupts, go, refusing
from rascal.cli.load.leaving import exports, leave_files
from rascal.cli.load.reaching import agents_for, link_for
from rascal.cli.load.run import Order, flag_of, title_of
from rascal.cli.load.showing import Watching, Writer, shown_for
from rascal.cli.output import as_json, leave, limit, say

if TYPE_CHECKING:
    from rascal.load.plan import Plan
    from rascal.load.running import Finished

SOON = 1.5
PREPARING = "preparing: agents load the scenario, and set up"
SECRET_FLAGS = ("--header",)
_PASSWORD = re.compile(r"(\w+://[^/\s:@]*:)[^/\s@]+@")


def offer(order: Order, given: Mapping[str, Any], started_fd: int | None) -> None:
    """Run it and leave with its status."""
    assert order.plan is not None
    plan = order.plan
    with refusing(flag_of):
        store = None if given["no_store"] else opened_store(given["store"])
        shown = shown_for(title_of(plan), quiet=given["quiet"], json_=given["json_"])

        def began(run: str) -> None:
            if store is not None:
                shown.title = f"run {run}  {title_of(plan)}"

        def started(run: str) -> None:
            if started_fd is not None:
                _announce(started_fd, run)

        with agents_for(plan, given) as reached:
            finished = _run(order, given, reached, store, Writer(shown), (began, started))
        report(plan, finished, kept=store is not None, json_=given["json_"])
        status = leave_files(given["outputs"], finished, order, store=store, about=about(plan))
        if store is not None:
            store.close()
    leave(status)


def _run(
    order: Order,
    given: Mapping[str, Any],
    reached: Any,
    store: Any,
    writer: Writer,
    tell: tuple[Callable[[str], None], Callable[[str], None]],
) -> Finished:
    """All of it, in the reactor; the screen is left as it was found."""
    plan, book = order.plan, order.book
    assert plan is not None
    assert book is not None
    began, started = tell

    async def main(reactor: Any, interrupts: Interrupts) -> Finished:
        from rascal.load.running import run_load

        def begins(run: str, control: Any) -> None:
            began(run)
            interrupts.ask = lambda count: control.stop("ctrl-C", now=count > 1)

        patient = not (given["quiet"] or given["json_"])
        waiting = reactor.callLater(SOON, writer.tell_before_looks, PREPARING if patient else "")
        told = exports(reactor, given, writer.tell)
        try:
            await told.open()
            link, agents = link_for(reactor, plan, given, reached, book)
            return await run_load(
                reactor,
                plan,
                book.files,
                link=link,
                agents=agents,
                store=store,
                listener=told.beside(Watching(writer, reactor.callLater, begins, started)),
                about={**about(plan), **order.about},
            )
        finally:
            if waiting.active():
                waiting.cancel()
            await told.close()

    with writer.open():
        found: Finished = go(main, writer.tell)
    return found


def opened_store(path: str | None) -> Any:
    """The store, open; what is wrong with it is said before load starts. Raises StoreError."""
    from rascal.store import Store

    return Store(path)


def about(plan: Plan) -> dict[str, Any]:
    """What the store keeps of how this was started; without passwords."""
    return {"command": masked(sys.argv[1:]), "folder": os.getcwd()}


def masked(words: list[str]) -> str:
    """A command line whose secrets are stars."""
    from shlex import join

    found, hide = [], False
    for word in words:
        shown = _PASSWORD.sub(r"\1***@", word)
        if hide or word.startswith(tuple(f"{flag}=" for flag in SECRET_FLAGS)):
            shown = f"{word.partition(':')[0]}: ***"
        found.append(shown)
        hide = word in SECRET_FLAGS
    return join(["rascal", *found])


def _announce(fd: int, run: str) -> None:
    with suppress(OSError):
        os.write(fd, f"{run}\n".encode())
        os.close(fd)


def report(plan: Plan, finished: Finished, *, kept: bool, json_: bool) -> int:
    """Say what came out; gives the exit status."""
    if json_:
        head = {"run": finished.run, "outcome": finished.outcome, "status": finished.status}
        as_json({**head, **finished.summary})
        return finished.status
    ended = Ended(
        run=finished.run,
        outcome=finished.outcome,
        status=finished.status,
        plan=plan,
        results=finished.results,
        summary=finished.summary,
        kept=kept,
    )
    for line in lines_of(ended, limit()):
        say(line)
    return finished.status
