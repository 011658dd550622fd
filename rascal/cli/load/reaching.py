"""How a command reaches agents: in this process, of its own making, or at a Redis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rascal.errors import ConfigError

if TYPE_CHECKING:
    from rascal.load._redis import Place
    from rascal.load.book import Book
    from rascal.load.links import Link
    from rascal.load.plan import Plan
    from rascal.load.targets import Targets

TOKEN, TOKEN_FILE, REDIS, PASSWORD = (
    "RASCAL_TOKEN",
    "RASCAL_TOKEN_FILE",
    "RASCAL_REDIS",
    "RASCAL_REDIS_PASSWORD",
)


def count_of(given: Mapping[str, Any]) -> int | None:
    """--agents, as a number from 1; None if nothing is said. Raises ConfigError."""
    text = given["agents"]
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 10_000:
        raise ConfigError(f"--agents: '{text}' is no number of processes, from 1", value=text)
    return int(text)


def token_of(file: str | None) -> str:
    """The token that coordinator and agents share; "" if there is none. Raises ConfigError."""
    path = file or ("" if os.environ.get(TOKEN) else os.environ.get(TOKEN_FILE, ""))
    if not path:
        return os.environ.get(TOKEN, "")
    flag = "--token-file" if file else TOKEN_FILE
    try:
        with open(path, encoding="utf-8") as opened:
            token = opened.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"{flag}: '{path}' cannot be read: {why}") from error
    if not token:
        raise ConfigError(f"{flag}: '{path}' is empty: rascal token makes a token")
    return token


def place_of(text: str) -> Place:
    """The Redis of a URL; the password may stand in RASCAL_REDIS_PASSWORD. Raises ConfigError."""
    from rascal.load._redis import parse_place

    return parse_place(text, os.environ.get(PASSWORD, ""))


def targets_for(plan: Plan, token: str) -> Targets:
    """Whom this process may send load to."""
    from rascal.load.targets import Targets

    return Targets(plan.allow, token or None)


async def link_for(
    reactor: Any, plan: Plan, given: Mapping[str, Any], book: Book | None = None
) -> tuple[Link, int]:
    """The link, and how many agents are wanted of it.

    Args:
        book: the scenarios, if they are loaded: an engine of this process takes them over.
    """
    count, token = count_of(given), token_of(given["token_file"])
    if given["redis"]:
        from rascal.load.redis_link import RedisLink

        return RedisLink(place_of(given["redis"]), reactor, token=token), count or 0
    if count is None or count == 1:
        from rascal.load.local import LocalLink

        return LocalLink(reactor, targets=targets_for(plan, token), book=book), 1
    from rascal.load.embedded import local_link

    return await local_link(reactor, count, allow=plan.allow), count
