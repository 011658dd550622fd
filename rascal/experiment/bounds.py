"""What an experiment may do where others than its author answer for it: in the panel.

Whoever may run experiments there is not thereby allowed to run programs, to read the panel's
environment, or to have its tokens sent to addresses of his own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from rascal.errors import ConfigError
from rascal.experiment.specification import Check, Experiment


@attrs.frozen(kw_only=True)
class Bounds:
    """Plain data; goes to the process that runs the experiment.

    Attributes:
        urls: control URLs that may be asked, and get the token.
        folders: where scenario files may lie; empty: they are known already.
        trusted: programs may be run, and the whole environment read.
    """

    urls: tuple[str, ...]
    folders: tuple[str, ...] = ()
    trusted: bool = False

    def problems(self, experiment: Experiment, scenarios: str) -> Iterator[ConfigError]:
        """Everything that goes beyond; `scenarios` is the path of the scenario file."""
        known = {url.rstrip("/") for url in self.urls}
        for name, url in experiment.nodes.items():
            if url.rstrip("/") not in known:
                listed = ", ".join(sorted(known)) or "none"
                yield _wrong(
                    f"the node {name} ({url}) is none of the panel's: {listed}", experiment, "nodes"
                )
        if self.folders and not _within(scenarios, self.folders):
            yield _wrong(
                f"scenarios are a .py file in {' or '.join(self.folders)}; "
                f"'{experiment.scenarios}' is not",
                experiment, "load",
            )  # fmt: skip
        if not self.trusted:
            for one in _checks(experiment):
                if one.way == "command":
                    yield _wrong(
                        f"'{one.name}' runs a program: that needs the role admin here",
                        experiment, "invariants",
                    )  # fmt: skip


def _checks(experiment: Experiment) -> Iterator[Check]:
    yield from experiment.invariants
    for rule in experiment.stop:
        if isinstance(rule, Check):
            yield rule


def _within(file: str, folders: Iterable[str]) -> bool:
    """Wherever links lead."""
    path = Path(file).resolve()
    return path.suffix == ".py" and any(
        path.is_relative_to(Path(folder).expanduser().resolve()) for folder in folders
    )


def _wrong(message: str, experiment: Experiment, option: str) -> ConfigError:
    return ConfigError(message, path=Path(experiment.path).name or None, option=option)
