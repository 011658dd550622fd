"""Whether an experiment fits its nodes: names of proxies, and what their protocols know of faults.

The conductor's own way is gone: everything is installed disarmed, under a lease, and removed
again. What it refuses is left out and the rest tried once more, until all findings are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rascal.containers import Containers
from rascal.control.client import AsyncClient
from rascal.errors import ConfigError, ConfigErrors, RascalError
from rascal.experiment.conductor import Conductor
from rascal.experiment.specification import Experiment
from rascal.experiment.timeline import timeline_of

ROUNDS = 3
"""Proxies, then sentences, then whatever is left."""


async def misfits(
    reactor: Any,
    experiment: Experiment,
    *,
    run: str = "check",
    clients: Mapping[str, AsyncClient] | None = None,
    containers: Containers | None = None,
) -> list[RascalError]:
    """Everything that nodes and the container engine refuse; nothing is left behind."""
    found: list[RascalError] = []
    for _ in range(ROUNDS):
        if not experiment.actions:
            break
        conductor = Conductor(
            reactor,
            experiment,
            timeline_of(experiment),
            run=run,
            tell=lambda kind, text, data: None,
            trouble=lambda why: None,
            clients=clients,
            containers=containers,
        )
        try:
            await conductor.prepare()
        except ConfigErrors as errors:
            found += errors.findings
            wrong = {one.line for one in errors.findings}
            left = tuple(one for one in experiment.actions if one.line not in wrong)
            if len(left) == len(experiment.actions):
                break
            experiment = attrs.evolve(experiment, actions=left)
        except ConfigError as error:
            found.append(error)
            break
        except RascalError as error:
            found.append(error)
            break
        else:
            await conductor.end()
            break
    return found
