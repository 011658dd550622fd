"""The process of one run that the panel starts: what `rascal load run` and `rascal experiment run`
do, told by one JSON object on its input instead of a command line.

    python -m rascal.cli.child FD < order

On FD it writes one line: the run's number once load has started, or {"errors": […]} if it cannot.
It has a session of its own and keeps the run in the store, so it needs the panel no more.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import click

from rascal.errors import ConfigError, ConfigErrors, RascalError

NAME = re.compile(r"[\w-]{1,64}")


def main() -> None:
    """Read the order and carry it out; the exit status is that of the command."""
    fd = int(sys.argv[1])
    order = json.load(sys.stdin)
    # The run writes its number to `fd` and closes it; what went wrong is told on this one.
    tell = os.dup(fd)
    os.set_inheritable(fd, False)
    status = 1
    try:
        with click.Context(click.Command("run"), info_name="rascal"):
            KINDS[order["kind"]](order, fd)
            status = 0
    except click.exceptions.Exit as leaving:
        status = leaving.exit_code
        if isinstance(leaving.__context__, RascalError):
            _refuse(tell, leaving.__context__)
    except RascalError as error:
        status = 2
        _refuse(tell, error)
    sys.exit(status)


def _refuse(fd: int, error: RascalError) -> None:
    findings = error.findings if isinstance(error, ConfigErrors) else (error,)
    text = json.dumps({"errors": [_finding(one) for one in findings]})
    for one in findings:
        print(f"error: {one}", file=sys.stderr)
    with suppress(OSError):
        os.write(fd, f"{text}\n".encode())


def _finding(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ConfigError):
        return {"title": str(error)}
    found = {
        "title": error.message,
        "option": error.option,
        "file": os.path.basename(error.path) if error.path else None,
        "line": error.line,
        "column": error.column,
        "code": error.code,
    }
    return {name: value for name, value in found.items() if value is not None}


# ---- load


def _load(order: Mapping[str, Any], fd: int) -> None:
    from rascal.cli.load.going import choose_reactor
    from rascal.cli.load.run import Order, with_book

    values = dict(order["values"])
    sys.argv = ["rascal", "load", "run", *words_of(order["file"], values)]
    choose_reactor()
    made = with_book(
        Order(
            file=order["file"],
            values=values,
            tags=tuple(order.get("tags", ())),
            about=_about(order),
        )
    )
    _offer(made, order, fd)


def _offer(made: Any, order: Mapping[str, Any], fd: int) -> None:
    from rascal.cli.load.leaving import with_outputs
    from rascal.cli.load.offering import offer

    offer(made, with_outputs({**load_flags(), **_where(order)}), fd)


def load_flags() -> dict[str, Any]:
    """The flags of `rascal load run`, none of them given."""
    from rascal.cli.load.flags import REPEATED, SECTIONS, SWITCHES, variable

    found: dict[str, Any] = {}
    for table in SECTIONS.values():
        for name in table:
            found[variable(name)] = () if name in (*REPEATED, "tag") else None
    for switches in SWITCHES.values():
        found |= {variable(name): False for name in switches}
    return found


def words_of(file: str, values: Mapping[str, Any]) -> list[str]:
    """The command line that says the same; kept with the run, so that people can repeat it."""
    from rascal.cli.load.flags import PLAIN, REPEATED

    found = [file, *(str(one) for one in values.get("only", ()))]
    for name in PLAIN:
        if values.get(name) not in (None, ""):
            found += [f"--{name.replace('_', '-')}", str(values[name])]
    for flag, name in REPEATED.items():
        given = values.get(name) or ()
        if isinstance(given, Mapping):
            mark = ": " if name == "headers" else "="
            given = [f"{key}{mark}{value}" for key, value in given.items()]
        for one in [given] if isinstance(given, str) else given:
            found += [f"--{flag}", str(one)]
    for name, one in (values.get("profiles") or {}).items():
        text = one.get("profile", "") if isinstance(one, Mapping) else one
        found += ["--profile", f"{name}={text}"]
    return found


# ---- experiments


def _experiment(order: Mapping[str, Any], fd: int) -> None:
    text = order.get("text")
    if text is None:
        _conduct(order["file"], order, fd)
        return
    with tempfile.TemporaryDirectory(prefix="rascal-") as folder:
        path = Path(folder) / f"{order.get('name') or 'experiment'}.yml"
        path.write_text(text, "utf-8")
        _conduct(str(path), order, fd, base=order["folder"])


def _conduct(
    path: str, order: Mapping[str, Any], fd: int, *, base: str = "", scenarios: str = ""
) -> None:
    """Run the experiment of a file.

    Args:
        path: the file.
        order, fd: as everywhere here.
        base: where its scenarios are looked for, if not beside it.
        scenarios: the scenario file itself, whatever the experiment calls it.
    """
    from rascal.cli.experiment.conducting import Conducting
    from rascal.cli.experiment.ending import lines_of
    from rascal.cli.experiment.orders import overridden, with_load
    from rascal.cli.load.going import choose_reactor
    from rascal.cli.load.offering import opened_store
    from rascal.cli.output import limit, say
    from rascal.experiment.bounds import Bounds
    from rascal.experiment.reading import read_experiment
    from rascal.load.masking import hidden

    given = {**EXPERIMENT, **_where(order), **order.get("given", {})}
    sys.argv = ["rascal", "experiment", "run", order.get("file") or os.path.basename(path)]
    choose_reactor()
    bounds = Bounds(**order["bounds"])
    environ = None if bounds.trusted else hidden(os.environ)
    experiment = overridden(_with_nodes(read_experiment(path, environ), path, order), given)
    if base:
        scenarios = os.path.abspath(os.path.join(base, experiment.scenarios))
    if scenarios:
        experiment = attrs.evolve(experiment, scenarios=scenarios)
    file = os.path.join(os.path.dirname(os.path.abspath(path)), experiment.scenarios)
    beyond = list(bounds.problems(experiment, file))
    if beyond:
        raise ConfigErrors(beyond)
    if order.get("requires"):  # of a job; agents install them
        load = {"dependencies": order["requires"], **experiment.load}
        experiment = attrs.evolve(experiment, load=load)
    made = attrs.evolve(with_load(experiment, given), about=_about(order))
    problems = made.outlook().problems
    if problems:
        raise ConfigErrors([ConfigError(one) for one in problems])
    store = opened_store(given["store"])
    try:
        outcome = Conducting(made, given, store, fd).once()
    finally:
        store.close()
    for line in lines_of(outcome, limit()):
        say(line)
    click.get_current_context().exit(outcome.status)


def _with_nodes(experiment: Any, path: str, order: Mapping[str, Any]) -> Any:
    """An experiment that does not say where proxies are controlled uses the panel's nodes."""
    from rascal.load.yamltext import read_yaml

    nodes = order.get("nodes")
    written = read_yaml(Path(path).read_text("utf-8"), path)
    if not nodes or "nodes" in written:
        return experiment
    return attrs.evolve(experiment, nodes=dict(nodes))


EXPERIMENT: dict[str, Any] = {
    "target": None, "node": (), "seed": None, "allow": (), "no_probe": False, "lenient": False,
    "agents": None, "redis": None, "token_file": None, "label": (), "store": None,
    "quiet": False, "json_": False,
}  # fmt: skip
"""The flags of `rascal experiment run`, none of them given."""


# ---- once more


def _replay(order: Mapping[str, Any], fd: int) -> None:
    """A stored run again: its own files, plan and seed, with the changes that are asked for."""
    from rascal.store import Store

    with Store(order["store"], readonly=True) as store:
        run = store.run(order["run"])
        files = store.sources(run.id)
    with tempfile.TemporaryDirectory(prefix="rascal-") as folder:
        for name, data in files.items():
            path = Path(folder) / name
            if not path.resolve().is_relative_to(Path(folder).resolve()):
                raise ConfigError(f"run {run.id} holds a file that lies outside: {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        again = {**order, "forked_from": run.id}
        if run.kind == "experiment":
            _experiment_again(run, folder, files, again, fd)
        else:
            _load_again(run, folder, again, fd)


def _load_again(run: Any, folder: str, order: Mapping[str, Any], fd: int) -> None:
    from rascal.cli.load.going import choose_reactor
    from rascal.cli.load.run import Order
    from rascal.load.book import load_book
    from rascal.load.planning import with_profiles
    from rascal.load.plans_json import plan_from_json

    sys.argv = ["rascal", "load", "run", f"(run {run.id} again)"]
    plan = plan_from_json(dict(run.plan))
    changes = dict(order.get("changes", {}))
    profiles = changes.get("profiles") or {}
    plan = attrs.evolve(
        plan,
        shares=with_profiles(plan.shares, profiles),
        target=str(changes.get("target") or plan.target).rstrip("/"),
        seed=int(changes.get("seed", plan.seed)),
        allow=tuple(order.get("allow", ())),
    )
    choose_reactor()
    main = str(Path(folder) / plan.file)
    logs = [share.replay for share in plan.shares if share.replay]
    book = load_book(main, dict(plan.options), extra=logs)
    made = Order(file=main, values={}, book=book, plan=plan, about=_about(order))
    _offer(made, order, fd)


def _experiment_again(
    run: Any, folder: str, files: Mapping[str, bytes], order: Mapping[str, Any], fd: int
) -> None:
    name = "experiment.yml"
    if name not in files:
        raise ConfigError(f"run {run.id} did not keep its experiment file: it cannot be repeated")
    changes = dict(order.get("changes", {}))
    named = run.name if NAME.fullmatch(run.name) else "experiment"
    path = Path(folder) / f"{named}.yml"
    path.write_bytes(files[name])
    given = {
        "target": changes.get("target") or run.plan.get("target"),
        "seed": str(changes.get("seed", run.seed or 0)),
        **order.get("given", {}),
    }
    again = {**order, "given": given, "file": f"(run {run.id} again)"}
    _conduct(str(path), again, fd, scenarios=str(Path(folder) / str(run.plan["file"])))


def _where(order: Mapping[str, Any]) -> dict[str, Any]:
    """Store and agents."""
    agents = order.get("agents")
    return {
        "store": order["store"],
        "redis": order.get("redis") or None,
        "agents": None if agents is None else str(agents),
        "token_file": order.get("token_file") or None,
    }


def _about(order: Mapping[str, Any]) -> dict[str, Any]:
    found = {"by": order.get("by") or "", "via": "panel", "entry": order.get("entry", "")}
    for name in ("forked_from", "job"):
        if order.get(name):
            found[name] = order[name]
    return found


KINDS = {"load": _load, "experiment": _experiment, "replay": _replay}

if __name__ == "__main__":
    main()
