"""The agents: who waits at the Redis of the settings, how they are, and one request of each.

They are looked at only while a page wants to know, over one connection that is kept for so long.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from rascal.control._problems import Problem
from rascal.errors import RascalError

EVERY = 2.0
"""Seconds between two looks."""
WANTED = 30.0
"""Seconds for which it goes on after somebody asked."""
QUICK = 0.03
"""Seconds that the first page waits for the first look."""
TOKEN_FILE, PASSWORD = "RASCAL_TOKEN_FILE", "RASCAL_REDIS_PASSWORD"
CHECK = "check-agents"
"""What an agent calls its run while it is checked (rascal.load.checking)."""
BUSY = 0.9
"""Share of a core from which on an agent is told to be busy."""
LAG = 0.1
"""Seconds of lag that are worth a word."""
OWN = {"lost": ("away", "lost"), "slow": ("slow", "works, too slow")}
"""States of agents of a run: mark and words."""


class Agents:
    """Looks after agents for the panel."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.reactor = panel.reactor
        self.found: list[Any] | None = None
        """Beats of the last look; None: nobody has looked."""
        self.problem = ""
        """Why Redis cannot be asked."""
        self.checking = False
        self._place: Any = None
        self._redis: Any = None
        self._until = 0.0
        self._loop: Deferred[Any] | None = None
        self._first: Deferred[None] = Deferred()
        panel.closing.append(self.close)

    @property
    def shared(self) -> bool:
        """Agents wait at a Redis."""
        return bool(self.panel.settings.redis)

    # ---- looking

    async def now(self) -> dict[str, Any]:
        """All that a page shows."""
        if self.shared:
            self._until = self.reactor.seconds() + WANTED
            if self._loop is None:
                self._loop = Deferred.fromCoroutine(self._look())
            if self.found is None and not self.problem:
                await self._within(QUICK)
        return self.snapshot()

    async def _within(self, seconds: float) -> None:
        ends = self.reactor.seconds() + seconds
        while self.found is None and not self.problem and self.reactor.seconds() < ends:
            await deferLater(self.reactor, 0.005, lambda: None)

    async def _look(self) -> None:
        from rascal.load.beats import read_beats

        try:
            while self.reactor.seconds() < self._until:
                try:
                    redis, keys, seal = await self._connected()
                    self.found = await read_beats(redis, keys, seal)
                    self.problem = ""
                except RascalError as error:
                    self.problem = str(error)
                    self.found = self.found or []
                    await self._let_go()
                await deferLater(self.reactor, EVERY, lambda: None)
        finally:
            self._loop = None
            self.found = None
            await self._let_go()

    async def _connected(self) -> tuple[Any, Any, Any]:
        from rascal.load._redis import Redis
        from rascal.load.messages import Keys, Seal

        place, token = self._where()
        if self._redis is None:
            redis = Redis(place, self.reactor, "panel")
            await redis.connect()
            self._redis = redis
        return self._redis, Keys("rascal"), Seal(token)

    def _where(self) -> tuple[Any, str]:
        """Place and token. Raises ConfigError."""
        from rascal.load._redis import parse_place
        from rascal.load.bundle import read_token

        token = read_token(os.environ.get(TOKEN_FILE), os.environ)
        place = parse_place(self.panel.settings.redis, os.environ.get(PASSWORD, ""))
        self._place = place
        return place, token

    async def _let_go(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            with suppress(RascalError):
                await redis.close()

    async def close(self) -> None:
        """The panel stops."""
        self._until = 0.0
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.addErrback(lambda failure: None)
            loop.cancel()
        await self._let_go()

    # ---- as pages see it

    def snapshot(self) -> dict[str, Any]:
        """Agents that wait or work, by host; those of runs that have none but their own."""
        waiting = [self._agent(one) for one in self.found or ()]
        own = self._own({one["name"] for one in waiting})
        hosts: dict[str, list[dict[str, Any]]] = {}
        for one in [*waiting, *own]:
            hosts.setdefault(one["host"] or "?", []).append(one)
        place = self.panel.settings.redis and str(self._place or "")
        return {
            "shared": self.shared,
            "redis": place,
            "problem": self.problem,
            "looked": self.found is not None,
            "checking": self.checking,
            "hosts": [{"host": name, "agents": hosts[name]} for name in sorted(hosts)],
            "count": len(waiting) + len(own),
            "usable": sum(1 for one in waiting if one["state"] == "idle" and not one["problem"]),
        }

    def _agent(self, beat: Any) -> dict[str, Any]:
        found = {name: getattr(beat, name) for name in ("name", "host", "pid", "version", "run")}
        # A check is no run.
        trial = beat.run == CHECK
        run = "" if trial else beat.run
        state, words = "up", "is checked" if trial else "waits"
        if beat.problem:
            state, words = "away", "cannot be used"
        elif run:
            state, words = "up", "works"
        elif beat.state != "idle" and not trial:
            words = beat.state
        if not beat.problem and (beat.cpu > BUSY or beat.lag > LAG):
            state, words = "slow", f"{words}, busy"
        here = run in getattr(self.panel.runs, "going", {})
        return found | {
            "run": run,
            "state": beat.state if beat.state else "idle",
            "mark": state,
            "words": words,
            "link": f"/runs/{run}/live" if here else "",
            "cpu": beat.cpu,
            "lag": beat.lag,
            "clock": beat.clock_error,
            "problem": beat.problem,
            "shared": True,
        }

    def _own(self, known: set[str]) -> list[dict[str, Any]]:
        """Of runs that go on, agents that no Redis of ours knows."""
        found = []
        for run, active in sorted(getattr(self.panel.runs, "active", {}).items()):
            if active.over or not active.ready:
                continue
            for name, one in active.agents.items():
                if name in known:
                    continue
                state = one.get("state", "up")
                lag = one.get("lag")
                mark, words = OWN.get(state, ("up", "works"))
                found.append(
                    {
                        "name": name,
                        "host": one.get("host", ""),
                        "pid": one.get("pid"),
                        "version": one.get("version", ""),
                        "run": run,
                        "link": f"/runs/{run}/live",
                        "state": "running",
                        "mark": mark,
                        "words": words,
                        "cpu": one.get("cpu"),
                        "lag": None if lag is None else lag / 1000,
                        "clock": None,
                        "problem": one.get("why", ""),
                        "shared": False,
                    }
                )
        return found

    # ---- one request of each

    async def check(self, target: str) -> list[dict[str, Any]]:
        """Let each agent that waits send one request to a target. Raises Problem, RascalError."""
        from rascal.load.checking import FILE, ask_agents
        from rascal.load.planning import plan_of
        from rascal.load.redis_link import RedisLink

        if not self.shared:
            raise Problem(409, "no-redis", "no agents wait anywhere: [panel] has no 'redis'")
        if self.checking:
            raise Problem(409, "checking", "the agents are being checked already")
        values = {"target": target, "users": "1", "for": "1s", "timeout": "5s"}
        plan = plan_of(values, scenarios=("check",), file=FILE)
        place, token = self._where()
        self.checking = True
        try:
            link = RedisLink(place, self.reactor, token=token, patience=3.0, check_target=False)
            said = await ask_agents(self.reactor, plan, link, 0)
        finally:
            self.checking = False
        return [
            {
                "name": one.info.name,
                "host": one.info.host,
                "answered": one.answered,
                "outcome": one.outcome or "no request",
                "detail": one.detail,
                "took": one.took,
            }
            for one in said
        ]
