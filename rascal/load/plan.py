"""What a load run is: scenarios and their profiles, the target, bounds and policies.

A plan is a frozen value, the same wherever it came from (command line, YAML, an experiment, the
panel); a plan that has run is kept as it was and never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from rascal.language import Objective, Stretch

Connections = Literal["shared", "user", "none"]
Spacing = Literal["poisson", "even"]
Loss = Literal["redistribute", "continue", "abort"]


@attrs.frozen(kw_only=True)
class Share:
    """A profile and the scenarios that it drives; weights choose among several."""

    scenarios: tuple[str, ...]
    profile: tuple[Stretch, ...] = ()
    replay: str = ""
    """Instead of a profile: the name of an arrival log in the bundle (seconds, one a line, and
    the name of a scenario behind a blank if there are several)."""
    spacing: Spacing = "poisson"
    max_in_flight: int = 10_000
    """Iterations under way over all agents; an arrival beyond it is dropped, and counted."""


@attrs.frozen(kw_only=True)
class Plan:
    """One load run."""

    file: str
    """The scenario file, as it is called in the bundle."""
    shares: tuple[Share, ...]
    target: str
    """The base URL."""
    seed: int = 0
    options: Mapping[str, Any] = attrs.Factory(dict)
    """Values of the scenario file's own options."""
    timeout: float = 30.0
    """Of a whole request, seconds; also how long the run drains at most."""
    connect_timeout: float = 5.0
    connections: Connections = "shared"
    verify: bool = True
    """Check the target's TLS certificate."""
    headers: Mapping[str, str] = attrs.Factory(dict)
    resend: bool = True
    """Send an idempotent request again, on a new connection, if a kept one turned out closed
    before a byte of the reply came; False reports it as reset."""
    max_time: float = 86_400.0
    """Hard end of the run, seconds after its start."""
    max_requests: int = 1_000_000_000
    """Hard end in requests, over all agents."""
    allow: tuple[str, ...] = ()
    """Hosts and networks off loopback that the operator of this process allowed."""
    objectives: tuple[Objective, ...] = ()
    stop: tuple[Objective, ...] = ()
    """Stop rules: the run ends when one holds for its time."""
    loss: Loss = "redistribute"
    """What happens when an agent is lost."""
    dependencies: tuple[str, ...] = ()
    """Python requirements of the scenario, installed by agents into a cached environment."""
    labels: tuple[str, ...] = ()
    name: str = ""
