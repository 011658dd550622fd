"""Beats: how an agent shows that it is there, who it is and how it is; and who is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from rascal.errors import CoordinationError
from rascal.load._redis import Redis
from rascal.load.messages import KEEP_MS, LARGEST_BEAT, LAYOUT, Forged, Keys, Seal, dumps, loads

FORGET_MS = 3_600_000


@attrs.frozen(kw_only=True)
class Beat:
    """One beat of an agent."""

    instance: str
    name: str
    count: int = 0
    """Rises with each beat: that it does, is what shows that the agent lives."""
    host: str = ""
    pid: int = 0
    version: str = ""
    layout: int = LAYOUT
    python: str = ""
    cpu: float = 0.0
    """Share of one core."""
    lag: float = 0.0
    """Greatest lag of its reactor since the beat before, seconds."""
    clock_error: float = 0.0
    """How wrong its idea of Redis' time can be, seconds."""
    state: str = "idle"
    session: str = ""
    run: str = ""
    heard: int = 0
    """Commands of the session that it has taken."""
    problem: str = ""
    """Why it cannot be used, as its reader sees it: another token, another version."""

    def encode(self, seal: Seal) -> bytes:
        """Sealed, as it stands in Redis."""
        data = attrs.asdict(self, filter=lambda field, _: field.name != "problem")
        return seal.close(f"beat|{self.instance}", dumps(data))


_TYPES = {field.name: type(field.default) for field in attrs.fields(Beat)} | {
    "instance": str,
    "name": str,
}


def read_beat(instance: str, sealed: bytes, seal: Seal) -> Beat | None:
    """A beat with its problem; None if it cannot be read at all."""
    from rascal import __version__

    if len(sealed) > LARGEST_BEAT:
        return None
    problem = ""
    try:
        body = seal.open(f"beat|{instance}", sealed)
    except Forged as error:
        body = seal.peek(sealed)
        problem = "it has another token"
        if "no token" in str(error) or not seal.signs:
            problem = "it has a token, and there is none here (RASCAL_TOKEN or --token-file)"
        elif "not sealed" in str(error):
            problem = "it has no token"
    try:
        data = loads(body)
    except CoordinationError:
        return None
    known = {name: data[name] for name in _TYPES if name in data and name != "problem"}
    for name, value in known.items():
        wanted = _TYPES[name]
        if isinstance(value, bool) or not isinstance(
            value, (int, float) if wanted is float else wanted
        ):
            return None
    known["instance"] = instance
    known.setdefault("name", "")
    beat = Beat(**known)
    if not problem and (beat.layout != LAYOUT or beat.version != __version__):
        problem = f"it runs Rascal {beat.version}, this is {__version__}"
    return attrs.evolve(beat, problem=problem)


async def write_beat(redis: Redis, keys: Keys, seal: Seal, beat: Beat, redis_now: float) -> None:
    """Show one's beat. Raises CoordinationError."""
    found = await redis.commands(
        ("SET", keys.beat(beat.instance), beat.encode(seal), "PX", KEEP_MS),
        ("ZADD", keys.agents, int(redis_now * 1000), beat.instance),
    )
    for one in found:
        if isinstance(one, Exception):
            raise one


async def read_beats(redis: Redis, keys: Keys, seal: Seal) -> list[Beat]:
    """The agents that are there, by name. Raises CoordinationError."""
    seconds, _ = await redis.command("TIME")
    now = int(seconds) * 1000
    await redis.command("ZREMRANGEBYSCORE", keys.agents, "-inf", now - FORGET_MS)
    known = await redis.command("ZRANGEBYSCORE", keys.agents, now - 2 * KEEP_MS, "+inf")
    instances = [one.decode("ascii", "replace") for one in known]
    found = await beats_of(redis, keys, seal, instances)
    return sorted(found, key=lambda beat: (beat.name, beat.instance))


async def beats_of(redis: Redis, keys: Keys, seal: Seal, instances: Sequence[str]) -> list[Beat]:
    """The beats of these agents, as far as they are there. Raises CoordinationError."""
    if not instances:
        return []
    sealed: Any = await redis.command("MGET", *(keys.beat(one) for one in instances))
    pairs = zip(instances, sealed, strict=True)
    found = [read_beat(one, data, seal) for one, data in pairs if data is not None]
    return [beat for beat in found if beat is not None]
