"""Asking what must hold: an HTTP call, an SQL query, a Redis command, a command line.

Each ask ends within the check's time-out, and its answer is a text that is compared as it is said
(`equals`, `at_most`, …). What cannot be asked is an answer too: the check does not hold, and why.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs

from rascal.errors import RascalError
from rascal.experiment.specification import Check
from rascal.load.paths import MISSING, path
from rascal.load.places import parse_place

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

LARGEST = 1 << 20
"""Bytes of an answer that are looked at."""
SHOWN = 200
EVERY = 0.5
"""Seconds between two asks while waiting for a check to hold."""


class AskError(RascalError):
    """A check that could not be asked: nobody answers, or the answer has no such value."""


@attrs.frozen(kw_only=True)
class Asked:
    """What a check found."""

    holds: bool
    value: str | None
    """None if it could not be asked."""
    text: str
    """In words: what was found, and what should have been."""


async def ask(check: Check, *, reactor: Any, target: str, before: str | None = None) -> Asked:
    """Ask once. `before` is the value to which `unchanged` compares; None takes any."""
    from twisted.internet.defer import Deferred
    from twisted.internet.defer import TimeoutError as Late

    ends = reactor.seconds() + check.timeout
    waiting: Deferred[str] = Deferred.fromCoroutine(_WAYS[check.way](check, reactor, target))
    waiting.addTimeout(check.timeout, reactor)
    try:
        value = await waiting
    except (AskError, Late) as error:
        # What is cut short may say so in a way of its own.
        late = isinstance(error, Late) or reactor.seconds() >= ends
        text = f"no answer within {check.timeout:g}s" if late else str(error)
        return Asked(holds=False, value=None, text=text)
    return judged(check, value, before)


async def ask_until(check: Check, *, reactor: Any, target: str, before: str | None = None) -> Asked:
    """Ask until it holds, at most for the check's `within`."""
    from twisted.internet.task import deferLater

    ends = reactor.seconds() + check.within
    while True:
        found = await ask(check, reactor=reactor, target=target, before=before)
        if found.holds or reactor.seconds() + EVERY > ends:
            return found
        await deferLater(reactor, EVERY, lambda: None)


def judged(check: Check, value: str, before: str | None) -> Asked:
    """Compare an answer with what it should be."""
    shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
    if check.test == "answers":
        return Asked(
            holds=True, value=value, text=f"it answers: {shown}" if shown else "it answers"
        )
    if check.test == "unchanged":
        holds = before is None or value == before
        text = f"{shown}" if holds else f"{shown}, before it was {before}"
        return Asked(holds=holds, value=value, text=text)
    wanted = check.value
    if check.test == "contains":
        holds, wrong = wanted in value, f"{shown}, without '{wanted}'"
    elif check.test == "equals":
        holds, wrong = _same(value, wanted), f"{shown} instead of {wanted}"
    else:
        number = _number(value)
        if number is None:
            return Asked(holds=False, value=value, text=f"{shown} is not a number")
        limit = float(wanted)
        holds = number <= limit if check.test == "at_most" else number >= limit
        wrong = f"{shown}, allowed is {check.test.replace('_', ' ')} {wanted}"
    return Asked(holds=holds, value=value, text=shown if holds else wrong)


def _same(value: str, wanted: str) -> bool:
    """Equal as texts, or as numbers (0 and 0.0)."""
    if value == wanted:
        return True
    one, other = _number(value), _number(wanted)
    return one is not None and one == other


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _picked(check: Check, text: str) -> str:
    """The value that the check's path leads to, as a text; without a path the whole."""
    if not check.json:
        return text.strip()
    try:
        data = json.loads(text)
    except ValueError:
        raise AskError(f"the answer is not JSON: {text[:SHOWN].strip()}") from None
    value = path(check.json)(data)
    if value is MISSING:
        raise AskError(f"the answer has no {check.json}: {text[:SHOWN].strip()}")
    return value if isinstance(value, str) else json.dumps(value)


# ---- the ways


async def _get(check: Check, reactor: Any, target: str) -> str:
    import treq
    from twisted.web.client import Agent

    url = check.ask if "://" in check.ask else target + check.ask
    agent = Agent(reactor, connectTimeout=check.timeout)
    size = 0
    parts: list[bytes] = []

    def collect(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size <= LARGEST:
            parts.append(data)

    try:
        response = await treq.get(url, agent=agent)
        await treq.collect(response, collect)
    except Exception as error:  # whatever a server can do to a client
        raise AskError(f"{url} cannot be asked: {_reason(error)}") from error
    text = b"".join(parts).decode("utf-8", "replace")
    if not 200 <= response.code < 400:
        raise AskError(f"{url} answered {response.code}: {text[:SHOWN].strip()}")
    return _picked(check, text)


async def _command(check: Check, reactor: Any, target: str) -> str:
    from twisted.internet.utils import getProcessOutputAndValue

    words = shlex.split(check.ask)
    environ = {**os.environ, "RASCAL_TARGET": target}
    try:
        out, err, status = await getProcessOutputAndValue(
            "/usr/bin/env", ["--", *words], environ, reactor=reactor
        )
    except Exception as error:
        raise AskError(f"'{check.ask}' ended by a signal or cannot be run") from error
    if status:
        said = (err or out)[-SHOWN:].decode("utf-8", "replace").strip()
        raise AskError(f"'{check.ask}' ended with status {status}: {said}")
    return _picked(check, out[:LARGEST].decode("utf-8", "replace"))


async def _redis(check: Check, reactor: Any, target: str) -> str:
    from rascal.load._redis import Redis

    redis = Redis(parse_place(check.at), reactor, "checks")
    try:
        await redis.connect()
        found = await redis.command(*shlex.split(check.ask), seconds=check.timeout)
    except RascalError as error:
        raise AskError(str(error)) from error
    finally:
        await redis.close()
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    return str(found) if not isinstance(found, list) else str(len(found))


async def _sql(check: Check, reactor: Any, target: str) -> str:
    from twisted.internet.threads import deferToThread

    rows: str = await deferToThread(_query, check)
    return rows


def _query(check: Check) -> str:
    """The first column of the first row. Runs in a thread, with the driver's own time-outs."""
    where = urlsplit(check.at)
    given: dict[str, Any] = {
        "host": where.hostname or "127.0.0.1",
        "user": unquote(where.username or ""),
        "password": unquote(where.password or ""),
    }
    name = where.path.lstrip("/")
    driver = where.scheme
    try:
        if driver == "mysql":
            import pymysql as module

            given |= {"port": where.port or 3306, "database": name or None, "autocommit": True}
            given |= dict.fromkeys(
                ("connect_timeout", "read_timeout", "write_timeout"), max(1, round(check.timeout))
            )
        else:
            import psycopg as module  # type: ignore[import-not-found]

            given |= {"port": where.port or 5432, "dbname": name or None, "autocommit": True}
            given["connect_timeout"] = max(1, round(check.timeout))
    except ImportError:
        package = "PyMySQL" if driver == "mysql" else "psycopg[binary]"
        raise AskError(f"sql on {driver} needs a driver: pip install '{package}'") from None
    try:
        connection = module.connect(**given)
        try:
            cursor = connection.cursor()
            cursor.execute(check.ask)
            row = cursor.fetchone()
        finally:
            connection.close()
    except Exception as error:
        raise AskError(f"the query failed: {_reason(error)}") from error
    return "" if not row or row[0] is None else str(row[0])


def _reason(error: BaseException) -> str:
    reasons = getattr(error, "reasons", None)
    if reasons:  # Twisted's ResponseFailed and its like
        return _reason(reasons[0].value)
    return (str(error) or type(error).__name__).strip().rstrip(".")


_WAYS: dict[str, Callable[[Check, Any, str], Coroutine[Deferred[Any], Any, str]]] = {
    "get": _get,
    "sql": _sql,
    "redis": _redis,
    "command": _command,
}
