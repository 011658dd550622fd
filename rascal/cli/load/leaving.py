"""What `rascal load run` leaves behind: the files that were asked for, at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from rascal.cli.load.flags import SUMMARY
from rascal.cli.output import CANNOT, say
from rascal.cli.outputs import FLAGS, Outputs
from rascal.errors import ConfigError, RascalError

if TYPE_CHECKING:
    from rascal.cli.load.run import Order
    from rascal.load.outputs.live import Exports
    from rascal.load.plan import Plan
    from rascal.load.running import Finished

LIVE = ("prometheus", "otlp")
"""Flags of what is told to others while the run goes on."""


def with_outputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags, with `outputs`, checked, and `json_` as a switch. Raises ConfigError."""
    paths = {name: given["json_" if name == "json" else name] for name in FLAGS}
    json_ = paths["json"] == SUMMARY
    if json_:
        paths["json"] = None
    outputs = Outputs(paths={name: path for name, path in paths.items() if path is not None})
    for name, path in outputs.paths.items():
        if path == SUMMARY:
            raise ConfigError(f"--{name}: the report is on the terminal: name a file")
    for switch in ("once", "check_agents"):
        unused = next((one for one in (*outputs.paths, *LIVE) if given.get(one)), None)
        if given[switch] and unused:
            flag = switch.replace("_", "-")
            raise ConfigError(f"--{unused} is for load: leave it out, or --{flag}")
    outputs.check()
    told = _told(given)
    return {**given, "json_": json_, "outputs": outputs, **told}


def _told(given: Mapping[str, Any]) -> dict[str, Any]:
    """Where numbers are served and sent. Raises ConfigError."""
    found: dict[str, Any] = dict.fromkeys(LIVE)
    if given["prometheus"] is not None:
        from rascal.language import LanguageError, parse

        try:
            found["prometheus"] = parse("address", given["prometheus"])
        except LanguageError as error:
            error.option = "prometheus"
            raise
    if given["otlp"] is not None:
        from rascal.load.outputs.otlp import collector

        found["otlp"] = collector(given["otlp"], os.environ)
    return found


def exports(reactor: Any, given: Mapping[str, Any], tell: Callable[[str], None]) -> Exports:
    """Who is told of the run while it goes on."""
    from rascal.load.outputs.live import Exports

    return Exports(reactor, tell, given["prometheus"], given["otlp"])


def leave_files(
    outputs: Outputs,
    finished: Finished,
    order: Order,
    *,
    store: Any,
    about: Mapping[str, Any],
) -> int:
    """Write what was asked for, and give the exit status: a run that was as expected has failed
    to do what was asked if a file is missing."""
    if not outputs:
        return finished.status
    from rascal.store.held import Held

    assert order.plan is not None
    assert order.book is not None
    run = _run(finished, order.plan, store, about)
    source = Held(run, finished.results, order.book.files)
    written, problems = outputs.write(source, finished.run)
    if written:
        say(f"wrote {', '.join(written)}", err=True)
    for problem in problems:
        say(f"error: {problem}", err=True)
    return finished.status or (CANNOT if problems else 0)


def _run(finished: Finished, plan: Plan, store: Any, about: Mapping[str, Any]) -> Any:
    """What the store knows of it; what we know if it knows nothing."""
    from rascal import __version__
    from rascal.load.plans_json import plan_json
    from rascal.store.held import unkept

    summary = finished.summary
    if store is not None:
        try:
            return attrs.evolve(
                store.run(finished.run),
                summary=summary,
                outcome=finished.outcome,
                status=finished.status,
                state="ended",
            )
        except RascalError:
            pass
    at = summary.get("started_at")
    return unkept(
        plan_json(plan),
        summary,
        versions={"rascal": __version__},
        about=about,
        started=datetime.fromisoformat(at).timestamp() if at else None,
    )
