"""An experiment as a command wants it: its file, and the flags that stand above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from rascal.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from rascal.experiment.outlook import Outlook
    from rascal.experiment.specification import Experiment
    from rascal.experiment.timeline import Timeline
    from rascal.load.plan import Plan

FLAGS = {
    "target": ("URL", "Instead of the file's: where the application is."),
    "node": (
        "[NAME=]URL",
        "Instead of the file's: where proxies are controlled. Repeatable.",
    ),
    "seed": ("N", "Instead of the file's: of all draws."),
    "allow": ("HOST", "Allow load on this host or network off this machine. Repeatable."),
}
"""Flags that stand above the file, of all commands that read one."""
REPEATED = ("node", "allow", "label")
MAIN = "main"


@attrs.frozen(kw_only=True)
class Order:
    """What is to be run."""

    experiment: Experiment
    timeline: Timeline
    plan: Plan
    weights: Mapping[str, float]
    """Of the scenarios."""
    about: Mapping[str, Any] = attrs.Factory(dict)
    """More for the store."""

    @property
    def title(self) -> str:
        """`checkout.yml → http://127.0.0.1:8080`."""
        return f"{self.experiment.name} → {self.experiment.target}"

    def outlook(self) -> Outlook:
        """What can be said before it runs."""
        from rascal.experiment.outlook import outlook

        return outlook(self.experiment, self.timeline, self.plan, self.weights)


def file_flags(function: Any) -> Any:
    """Add the flags above."""
    import click

    for flag, (metavar, text) in reversed(FLAGS.items()):
        function = click.option(f"--{flag}", metavar=metavar, help=text, multiple=flag in REPEATED)(
            function
        )
    return function


def read_order(file: str, given: Mapping[str, Any]) -> Order:
    """The file, with the flags over it, and its scenarios. Raises ConfigErrors, ConfigError.

    Scenarios may import a reactor, so it has to be chosen before.
    """
    return with_load(read_file(file, given), given)


def read_file(file: str, given: Mapping[str, Any]) -> Experiment:
    """The file alone, with the flags over it. Raises ConfigErrors, ConfigError."""
    from rascal.experiment.reading import read_experiment

    return overridden(read_experiment(file), given)


def overridden(experiment: Experiment, given: Mapping[str, Any]) -> Experiment:
    """With what the flags say. Raises ConfigError."""
    changes: dict[str, Any] = {}
    if given.get("target"):
        from rascal.load.targets import target_problems

        problem = next(iter(target_problems(given["target"])), "")
        if problem:
            raise ConfigError(f"--target: {problem}", value=given["target"])
        changes["target"] = given["target"].rstrip("/")
    if given.get("node"):
        changes["nodes"] = nodes_of(given["node"], experiment.nodes)
    if given.get("seed") is not None:
        changes["seed"] = whole(given["seed"], "--seed", least=0)
    if given.get("no_probe"):
        changes["probe"] = False
    if given.get("label"):
        changes["labels"] = tuple(dict.fromkeys((*experiment.labels, *given["label"])))
    return attrs.evolve(experiment, **changes)


def with_load(experiment: Experiment, given: Mapping[str, Any]) -> Order:
    """With its load and its times. Raises ConfigErrors."""
    from rascal.experiment.loading import read_load
    from rascal.experiment.timeline import timeline_of

    timeline = timeline_of(experiment)
    plan, book = read_load(experiment, timeline, tuple(given.get("allow") or ()))
    weights = {name: one.weight for name, one in book.scenarios.items()}
    book.unload()
    return Order(experiment=experiment, timeline=timeline, plan=plan, weights=weights)


def nodes_of(words: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Control URLs by name; one without a name stands for the only node. Raises ConfigError."""
    found = dict(known)
    for word in words:
        name, there, url = word.partition("=")
        if not there or "/" in name:
            name, url = "", word
        if not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--node: '{word}' is no URL of a control API, such as http://127.0.0.1:8474 or "
                "NAME=URL",
                value=word,
            )
        if not name:
            if len(found) > 1:
                raise ConfigError(
                    f"--node: which of {', '.join(found)} is {url}? write NAME=URL", value=word
                )
            name = next(iter(found), MAIN)
        found[name] = url.rstrip("/")
    return found


def whole(text: str, flag: str, *, least: int, most: int | None = None) -> int:
    """A whole number of a flag. Raises ConfigError."""
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
        raise ConfigError(f"{flag}: '{text}' is no whole number from {least}", value=text)
    if most is not None and int(text) > most:
        raise ConfigError(f"{flag}: {text} is more than {most}", value=text)
    return int(text)


def share(text: str, flag: str) -> float:
    """A share of a flag, as in 70%. Raises ConfigError."""
    from rascal.language import LanguageError, parse, plain

    try:
        found = float(plain(parse("percentage", text)))
    except LanguageError as error:
        raise ConfigError(f"{flag}: {error.message}", value=text) from None
    if not 0 < found < 1:
        raise ConfigError(f"{flag}: {text} is not between 0% and 100%", value=text)
    return found


def flag_of(name: str) -> str | None:
    """The flag of an option's name, for errors without a file."""
    return f"--{name}" if name in FLAGS else None


def all_findings(error: Exception) -> list[ConfigError]:
    """One or several."""
    if isinstance(error, ConfigErrors):
        return list(error.findings)
    return [error] if isinstance(error, ConfigError) else [ConfigError(str(error))]
