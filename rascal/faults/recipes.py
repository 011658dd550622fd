"""Recipes: sets of faults that imitate one incident, written in the language itself.

    recipe database-failover outage=3s on db for 60s

A recipe has options, and for each protocol it is for a list of sentences in which `{option}`
stands for an option's text. Nothing here can do what a user could not write; where an incident
has stages, a part's own `for` ends it (the recipe's `for` ends all of them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from rascal.errors import ConfigError, did_you_mean, listed
from rascal.language import Phrase, parse, show
from rascal.options import Option, OptionTable
from rascal.units import plain_text
from rascal.wire.types import WireProtocol

Parts = tuple[tuple[str, str], ...]
"""(name of the part, its sentence)."""


@attrs.frozen(kw_only=True)
class Recipe:
    """One incident.

    Attributes:
        name: as users write it.
        summary: what happens, one line.
        imitates: the incident in real life, one or two sentences.
        options: its table.
        parts: the sentences for each protocol that has this incident.
    """

    name: str
    summary: str
    imitates: str
    options: OptionTable
    parts: Mapping[str, Parts]

    def sentences(self, protocol: str, given: Mapping[str, Any] | None = None) -> Parts:
        """The sentences with the options filled in; a part whose option is unset is left out."""
        texts = {
            name: _text(option, (given or {}).get(name)) for name, option in self.options.items()
        }
        filled = []
        for label, sentence in self.parts[protocol]:
            if not any(f"{{{name}}}" in sentence and not text for name, text in texts.items()):
                filled.append((label, sentence.format(**texts)))
        return tuple(filled)


def _text(option: Option, given: Any) -> str:
    """An option in the language: as it was given, else its default; "" if there is none."""
    if given is not None:
        return show(given)
    if option.default is None or isinstance(option.default, str):
        return option.default or ""
    return plain_text(str(option.type), option.default)


def sentences(
    phrase: Phrase, protocol: WireProtocol, tables: Mapping[str, OptionTable]
) -> Iterable[tuple[str, Phrase]]:
    """The parts of `recipe NAME …` on a protocol, read. Raises ConfigError."""
    name = phrase.option("recipe")
    recipe = RECIPES.get(name)
    if recipe is None:
        near = f".{did_you_mean(str(name), RECIPES)}".rstrip(".")
        raise phrase.problem(
            f"recipe '{name}' is not known; allowed: {listed(RECIPES, 'rascal recipes')}{near}",
            "recipe",
            code="unknown-name",
            allowed=tuple(RECIPES),
        )
    if protocol.name not in recipe.parts:
        raise phrase.problem(
            f"recipe '{name}' is for {', '.join(recipe.parts)}, not {protocol.name}",
            "recipe",
            allowed=tuple(recipe.parts),
        )
    try:
        return [
            (
                label,
                parse("fault", text, kinds=tables, fields=protocol.fields, protocol=protocol.name),
            )
            for label, text in recipe.sentences(protocol.name, dict(phrase.options))
        ]
    except ConfigError as error:
        raise phrase.problem(f"recipe '{name}': {error.message}", "recipe") from error


def _strength(default: float, help_: str) -> Option:
    return Option("strength", "percentage", help_, default=default, maximum=1)


_SQL_WRITES = "statement=INSERT,UPDATE,DELETE,REPLACE"
_KEY_WRITES = (
    "command=SET,SETEX,PSETEX,SETNX,GETSET,GETDEL,MSET,MSETNX,APPEND,INCR,INCRBY,DECR,DECRBY,DEL,"
    "UNLINK,EXPIRE,PEXPIRE,HSET,HSETNX,HMSET,HDEL,HINCRBY,LPUSH,RPUSH,LPOP,RPOP,LMOVE,LREM,BLPOP,"
    "BRPOP,SADD,SREM,ZADD,ZREM,ZINCRBY,XADD,XACK,XDEL,EVAL,EVALSHA"
)
_KEY_READS = "command=GET,MGET,GETEX,HGET,HMGET,HGETALL,EXISTS,SMEMBERS,ZRANGE,LRANGE"
_CACHE_READS = "command=get,gets,gat,gats,mg"
_CACHE_STORES = "command=set,add,replace,append,prepend,cas,ms"
_PUSHES = "command=LPUSH,RPUSH,LPUSHX,RPUSHX,LMOVE,RPOPLPUSH,XADD"
_POPS = "command=LPOP,RPOP,LMOVE,RPOPLPUSH,LRANGE,LLEN,XREAD,XREADGROUP,XRANGE,XLEN"
_UNSAFE = "method=POST,PUT,PATCH,DELETE"

_GONE: Parts = (("cut", "reset per connection for {outage}"), ("refuse", "refuse for {outage}"))
_SILENT: Parts = (("lost", "blackhole"), ("unreachable", "unreachable"))

_ALL = (
    Recipe(
        name="overloaded-database",
        summary="Slow answers, lock time-outs on writes, no further connections.",
        imitates=(
            "A database whose disks or locks cannot keep up: everything takes longer, some writes "
            "give up waiting, and clients that open more connections are turned away."
        ),
        options=OptionTable(
            _strength(0.1, "share of the writes (Redis, HTTP: of all requests) that fail"),
            Option("delay", "distribution", "how slow", default="lognormal(400ms, 2s)"),
            Option("connections", "positive", "connections that may be open", default=50),
        ),
        parts={
            "mysql": (
                ("slow", "delay({delay})"),
                ("locks", "{strength} error(lock_wait) match " + _SQL_WRITES),
                ("full", "max_connections({connections}, error=too_many_connections)"),
            ),
            "redis": (
                ("slow", "delay({delay})"),
                ("busy", "{strength} error(busy)"),
                ("full", "max_connections({connections})"),
            ),
            "http": (
                ("slow", "delay({delay})"),
                ("busy", "{strength} error(503)"),
                ("full", "max_connections({connections})"),
            ),
            "tcp": (
                ("slow", "delay({delay})"),
                ("full", "max_connections({connections})"),
            ),
        },
    ),
    Recipe(
        name="database-failover",
        summary="Connections die, nobody gets in for a while, then writes say read-only.",
        imitates=(
            "The primary goes away: every connection is reset and the address refuses until the "
            "replica takes over; for some time it answers reads only."
        ),
        options=OptionTable(
            Option("outage", "duration", "how long nobody gets in", default=5.0),
            Option(
                "read_only", "duration", "how long writes fail, from the beginning", default=20.0
            ),
        ),
        parts={
            "mysql": (
                *_GONE,
                ("read-only", f"error(read_only) match {_SQL_WRITES} for {{read_only}}"),
            ),
            "redis": (
                *_GONE,
                ("read-only", f"error(readonly) match {_KEY_WRITES} for {{read_only}}"),
            ),
            "tcp": _GONE,
        },
    ),
    Recipe(
        name="commit-lost",
        summary="The work is done, the reply to it is lost.",
        imitates=(
            "The network or the server goes in the instant after the commit: the client gets an "
            "error for something that has happened, and who tries again does it twice."
        ),
        options=OptionTable(
            Option("count", "positive", "how often", default=1),
            Option("then", ("reset", "close", "hang"), "what the client sees", default="reset"),
        ),
        parts={
            "mysql": (("lost", "lose_reply(then={then}) match statement=COMMIT count {count}"),),
            "redis": (("lost", "lose_reply(then={then}) match command=EXEC count {count}"),),
            "http": (("lost", f"lose_reply(then={{then}}) match {_UNSAFE} count {{count}}"),),
        },
    ),
    Recipe(
        name="cold-cache",
        summary="Reads of the cache miss; writes to it work.",
        imitates=(
            "A cache that was restarted or flushed, or whose keys expire together: every read "
            "goes to what lies behind it at once."
        ),
        options=OptionTable(
            _strength(1.0, "share of the reads that miss"),
        ),
        parts={
            "memcached": (("miss", "{strength} empty match " + _CACHE_READS),),
            "redis": (("miss", "{strength} empty match " + _KEY_READS),),
        },
    ),
    Recipe(
        name="cache-down",
        summary="Connections to the cache die and further ones are refused.",
        imitates=(
            "The cache process is gone, its host is not. Clients that treat a cache as optional "
            "go on without it; others turn out to depend on it."
        ),
        options=OptionTable(),
        parts=dict.fromkeys(
            ("memcached", "redis", "http", "tcp"),
            (("cut", "reset per connection"), ("refuse", "refuse")),
        ),
    ),
    Recipe(
        name="queue-vanishes",
        summary="The queue is cut off for a while, and empty when it comes back.",
        imitates=(
            "A broker without persistence is restarted: connections are reset, the address "
            "refuses, and then the jobs that were in it are not there."
        ),
        options=OptionTable(
            Option("outage", "duration", "how long nobody gets in", default=5.0),
            Option(
                "empty", "duration", "how long it looks empty, from the beginning", default=30.0
            ),
        ),
        parts={
            "redis": (
                *_GONE,
                ("empty", f"empty at request match {_POPS} and blocking=no for {{empty}}"),
                ("wait", "hang match blocking=yes for {empty}"),
            ),
            "tcp": _GONE,
        },
    ),
    Recipe(
        name="queue-full",
        summary="What puts something in is refused for lack of room; the rest works.",
        imitates=(
            "Consumers have stopped or the disk is full: producers are told that there is no "
            "room, while everything else goes on."
        ),
        options=OptionTable(
            _strength(1.0, "share of what is put in that is refused"),
        ),
        parts={
            "redis": (("full", "{strength} error(oom) match " + _PUSHES),),
            "memcached": (("full", "{strength} error(out_of_memory) match " + _CACHE_STORES),),
            "mysql": (("full", "{strength} error(table_full) match statement=INSERT,REPLACE"),),
            "http": (("full", "{strength} error(507) match method=POST,PUT,PATCH"),),
        },
    ),
    Recipe(
        name="flaky-peer",
        summary="Now and then something fails: an error, a reset, a lost or late reply.",
        imitates=(
            "One bad instance behind a load balancer, or a bad network: most requests are served "
            "as ever, a few fail in different ways."
        ),
        options=OptionTable(
            _strength(
                0.05,
                "share of each of the ways to fail",
            ),
            Option("delay", "distribution", "how late a late one is", default="1s..5s"),
        ),
        parts={
            "http": (
                ("error", "{strength} error(502)"),
                ("cut", "{strength} reset"),
                ("lost", "{strength} lose_reply(then=close)"),
                ("late", "{strength} delay({delay}) at reply"),
            ),
            **dict.fromkeys(
                ("mysql", "memcached", "redis"),
                (
                    ("cut", "{strength} reset"),
                    ("lost", "{strength} lose_reply(then=close)"),
                    ("late", "{strength} delay({delay}) at reply"),
                ),
            ),
            "tcp": (("cut", "{strength} reset"), ("late", "{strength} delay({delay})")),
        },
    ),
    Recipe(
        name="slow-peer",
        summary="Everything works, slowly.",
        imitates=(
            "A peer that is overloaded or far away. Nothing fails, so only time-outs and the "
            "queues before it notice."
        ),
        options=OptionTable(
            Option("delay", "distribution", "how slow", default="lognormal(300ms, 1500ms)"),
            Option("rate", "throughput", "how fast bytes come back; unset: as they come"),
        ),
        parts=dict.fromkeys(
            ("mysql", "memcached", "redis", "http", "tcp"),
            (("slow", "delay({delay})"), ("line", "throttle({rate}) direction to_client")),
        ),
    ),
    Recipe(
        name="rate-limited-peer",
        summary="So many requests per second, and no more.",
        imitates=(
            "A peer with a quota: HTTP says 429 with Retry-After; MySQL, Redis and memcached have "
            "no such word, so requests wait."
        ),
        options=OptionTable(
            Option("rate", "rate", "requests per second", default=10.0, minimum=1e-3),
            Option("retry_after", "duration", "when to come back (HTTP)", default=1.0),
        ),
        parts={
            "http": (("quota", "rate_limit({rate}, error=429, retry_after={retry_after})"),),
            **dict.fromkeys(("mysql", "memcached", "redis"), (("quota", "rate_limit({rate})"),)),
        },
    ),
    Recipe(
        name="network-partition",
        summary="Nothing arrives and nothing is answered, connecting included.",
        imitates=(
            "A cable, a route or a firewall rule: no FIN, no RST, only silence. What has no "
            "time-out of its own hangs."
        ),
        options=OptionTable(),
        parts=dict.fromkeys(("mysql", "memcached", "redis", "http", "tcp"), _SILENT),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _ALL})
"""The recipes, by name."""
