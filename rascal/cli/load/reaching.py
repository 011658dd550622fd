"""How a command reaches agents: in this process, of its own making, or at a Redis."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from rascal.errors import ConfigError
from rascal.report.words import many

if TYPE_CHECKING:
    from rascal.load._redis import Place
    from rascal.load.book import Book
    from rascal.load.links import Link
    from rascal.load.plan import Plan
    from rascal.load.targets import Targets

TOKEN_FILE, REDIS, PASSWORD = "RASCAL_TOKEN_FILE", "RASCAL_REDIS", "RASCAL_REDIS_PASSWORD"
GATHER = 10.0
"""Seconds to wait for agents that others started."""
STARTING = 60.0
"""The same for our own, which have to start."""


def count_of(given: Mapping[str, Any]) -> int | None:
    """--agents, as a number from 1; None if nothing is said. Raises ConfigError."""
    text = given["agents"]
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 10_000:
        raise ConfigError(f"--agents: '{text}' is no number of processes, from 1", value=text)
    cores = os.cpu_count() or 1
    if not given["redis"] and int(text) > max(16, 4 * cores):
        raise ConfigError(
            f"--agents: {text} processes on {many(cores, 'core')} only take time from each other; "
            f"at most {max(16, 4 * cores)} are started here. For more, run them on other machines: "
            "--redis (docs/agents.md)",
            value=text,
        )
    return int(text)


def namespace_of(text: str | None) -> str:
    """--namespace, as [agent] takes it. Raises ConfigError."""
    from rascal.language import LanguageError, parse_option
    from rascal.load.agent_options import AGENT

    option = AGENT["namespace"]
    if text is None:
        return str(option.default)
    try:
        return str(parse_option(option, text))
    except LanguageError as error:
        raise ConfigError(f"--namespace: {error.message}", value=text) from error


def token_of(file: str | None) -> str:
    """The token that coordinator and agents share; "" if there is none. Raises ConfigError."""
    from rascal.load.bundle import read_token

    return read_token(file or os.environ.get(TOKEN_FILE), os.environ)


def place_of(text: str) -> Place:
    """The Redis of a URL; the password may stand in RASCAL_REDIS_PASSWORD. Raises ConfigError."""
    from rascal.load._redis import parse_place

    return parse_place(text, os.environ.get(PASSWORD, ""))


def targets_for(plan: Plan, token: str) -> Targets:
    """Whom this process may send load to."""
    from rascal.load.known_proofs import KnownProofs
    from rascal.load.targets import Targets

    return Targets(plan.allow, token or None, KnownProofs(token) if token else None)


@attrs.frozen
class Reached:
    """Where the agents are."""

    place: Place | None = None
    """The Redis; None is this process."""
    problem: Callable[[], str] = lambda: ""
    """Why our own agents are not worth waiting for: a line, once one has died."""


@contextmanager
def agents_for(plan: Plan, given: Mapping[str, Any]) -> Iterator[Reached]:
    """Where the agents are: at --redis, or started here for this run, or this process.

    To be entered in the main thread, before the reactor runs. Raises ConfigError and
    CoordinationError.
    """
    count = count_of(given)
    if given.get("namespace") is not None:
        namespace_of(given["namespace"])
        if not given["redis"]:
            raise ConfigError("--namespace is for --redis: agents of our own have a Redis alone")
    if given["redis"]:
        yield Reached(place_of(given["redis"]))
    elif count is None or count == 1:
        yield Reached()
    else:
        from rascal.load import embedded

        words = ["--dependencies"] if plan.dependencies else []
        if given["token_file"]:
            words += ["--token-file", os.path.abspath(given["token_file"])]
        with (
            embedded.redis() as server,
            embedded.agents(server.place, count, targets=plan.allow, words=words) as started,
        ):
            yield Reached(server.place, started.problem)


def link_for(
    reactor: Any,
    plan: Plan,
    given: Mapping[str, Any],
    reached: Reached,
    book: Book | None = None,
) -> tuple[Link, int]:
    """The link, and how many agents are wanted of it (0: all that are there).

    Args:
        reached: what `agents_for` gave.
        book: the scenarios, if they are loaded: an engine of this process takes them over.
    """
    if reached.place is None:
        from rascal.load.local import LocalLink

        targets = targets_for(plan, own_token(given["token_file"]))
        return LocalLink(reactor, targets=targets, book=book), 1
    from rascal.load.redis_link import RedisLink

    patience = GATHER if given["redis"] else STARTING
    token = token_of(given["token_file"])
    link = RedisLink(
        reached.place,
        reactor,
        token=token,
        namespace=namespace_of(given.get("namespace")),
        patience=patience,
        problem=reached.problem,
    )
    return link, count_of(given) or 0


def own_token(file: str | None) -> str:
    """The token for proofs of targets. One in the environment may be meant for something else."""
    try:
        return token_of(file)
    except ConfigError:
        if file:
            raise
        return ""
