"""The rascal-proxy processes that the panel knows: one client and one reader of events each.

    node ──events──► Node (what it has now, seconds of the last minute) ──► panel.hub, with "node"

A node that does not answer is away, with why and since when; it is asked again, and what has
changed meanwhile is told as if it had just happened. Exchanges are decoded only while somebody
looks at them, because that costs the data path something.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rascal.control._problems import Problem, unknown
from rascal.control.client import AsyncClient
from rascal.errors import RascalError
from rascal.panel.node_state import Proxies, differences

log = Logger()

TIMEOUT = 5.0
SILENT = 6.0
"""Seconds without a count after which a node is away; it sends one each second."""
FIRST, LONGEST = 0.25, 5.0
"""Seconds between two attempts to reach a node; doubled up to the longest."""
EVERY, SHOWN = 0.35, 20
"""Exchanges of a proxy are told so often, so many: all pages get them."""
FORWARDED = ("proxy", "faults", "fired", "step", "connection", "counters", "reload", "seed")


class Node:
    """One rascal-proxy process.

    Attributes:
        name, url: from the panel's configuration.
        client: its control API.
        state: up or away.
        why: in words, if it is away.
        since: when it came or went, seconds since the epoch.
        proxies: what it has, by name; the shape of the nodes' own snapshots, and more.
        lever: on, by, since.
    """

    def __init__(self, nodes: Nodes, name: str, url: str, client: Any) -> None:
        self.nodes = nodes
        self.name = name
        self.url = url
        self.client = client
        self.state = "away"
        self.why = "not asked yet"
        self.since = time.time()
        self.lever: dict[str, Any] = {"on": False, "by": "", "since": None}
        self.proxies = Proxies()
        self._known = False
        self._heard = 0.0
        self._wait = FIRST
        self._following: Any = None
        self._watching: Any = None
        self._watched: frozenset[str] = frozenset()
        self._gathered: dict[str, tuple[list[Any], int]] = {}
        self._telling: Any = None
        self._timer: Any = None
        self._closed = False

    @property
    def faults(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By proxy and name: text, enabled, armed, fired, matched, form; lease and expires_in of
        some."""
        return self.proxies.faults(time.time())

    def json(self, seconds: bool = True) -> dict[str, Any]:
        """As pages get it."""
        return {
            "name": self.name,
            "url": self.url,
            "state": self.state,
            "why": self.why,
            "since": round(self.since, 3),
            "lever": self.lever,
            "proxies": self.proxies.json(time.time(), seconds),
        }

    # ---- following

    def follow(self) -> None:
        """Read its events from now on, again and again."""
        self._following = Deferred.fromCoroutine(self._follow())
        self._following.addErrback(self._lost)

    async def _follow(self) -> None:
        self._heard = self.nodes.now()
        async for event in self.client.events():
            self._heard = self.nodes.now()
            await self._hear(event.kind, event.data)

    def _lost(self, failure: Any) -> None:
        if self._closed:
            return
        why = str(failure.value)
        if failure.check(CancelledError):
            why = f"{self.url}: no sign of life"
        elif not failure.check(RascalError):
            log.failure("the events of node {name} could not be read", failure, name=self.name)
        self._away(why)
        self._timer = self.nodes.reactor.callLater(
            self._wait * random.uniform(0.8, 1.2), self.follow
        )
        self._wait = min(2 * self._wait, LONGEST)

    def _away(self, why: str) -> None:
        changed = self.state != "away"
        if changed:
            log.warn("node {name} is away: {why}", name=self.name, why=why)
            self.since = time.time()
        self._watch_none()
        self.proxies.still()
        if changed or why != self.why:
            self.state, self.why = "away", why
            self.nodes.tell("node", self.json(seconds=False))

    def look(self) -> None:
        """Once a second: whether it still lives, and what is to be watched."""
        if self.state == "up" and self.nodes.now() - self._heard > SILENT:
            self._following.cancel()
        wanted = self.nodes.wanted(self)
        if wanted != self._watched or (wanted and self._watching is None):
            self._watch(wanted)

    async def _hear(self, kind: str, data: Any) -> None:
        if not isinstance(data, Mapping):
            return
        if kind == "snapshot":
            await self._begin(data)
            return
        if kind == "lever":
            self.lever = {name: data.get(name) for name in ("on", "by", "since")}
            self.nodes.tell_lever(self.name)
        elif kind in FORWARDED:
            self.proxies.hear(kind, data)
            self.nodes.tell(kind, {**data, "node": self.name})

    async def _begin(self, data: Mapping[str, Any]) -> None:
        """How things are; of a node that was away, what is different now."""
        before = self.faults if self._known else None
        was = self.lever
        self.proxies.begin(data)
        with suppress(RascalError):
            self.proxies.detail(await self.client.call("GET", "/api/v1/faults"), time.time())
        self.lever = dict(data.get("lever") or was)
        self._wait, self._known = FIRST, True
        if self.state != "up":
            self.state, self.why, self.since = "up", "", time.time()
            log.info("node {name} is there", name=self.name)
        self.nodes.tell("node", self.json())
        if was != self.lever:
            self.nodes.tell_lever(self.name)
        for change in differences(before, self.faults):
            self.nodes.tell("faults", {**change, "node": self.name})
        await self.nodes.hold(self)

    # ---- exchanges

    def _watch(self, wanted: frozenset[str]) -> None:
        self._watch_none()
        known = frozenset(self.proxies) & wanted
        self._watched = wanted
        if self.state == "up" and known:
            self._watching = Deferred.fromCoroutine(self._exchanges(sorted(known)))
            self._watching.addErrback(self._unwatched)

    async def _exchanges(self, proxies: list[str]) -> None:
        async for event in self.client.events(("exchanges",), proxies=proxies):
            if event.kind == "exchanges":
                self._seen(event.data)

    def _seen(self, data: Mapping[str, Any]) -> None:
        """Exchanges are over: the latest are told soon, the others counted."""
        latest, more = self._gathered.get(str(data["proxy"]), ([], 0))
        latest = [*latest, *data["exchanges"]]
        more += int(data.get("more") or 0) + max(0, len(latest) - SHOWN)
        self._gathered[str(data["proxy"])] = (latest[-SHOWN:], more)
        if self._telling is None:
            self._telling = self.nodes.reactor.callLater(EVERY, self._tell_exchanges)

    def _tell_exchanges(self) -> None:
        self._telling = None
        gathered, self._gathered = self._gathered, {}
        for proxy, (latest, more) in gathered.items():
            told = {"node": self.name, "proxy": proxy, "exchanges": latest, "more": more}
            self.nodes.tell("exchanges", told)

    def _unwatched(self, failure: Any) -> None:
        self._watching = None
        if not failure.check(RascalError, CancelledError):
            log.failure("the exchanges of node {name} could not be read", failure, name=self.name)

    def _watch_none(self) -> None:
        watching, self._watching, self._watched = self._watching, None, frozenset()
        if watching is not None:
            watching.cancel()

    async def close(self) -> None:
        """The panel stops."""
        self._closed = True
        self._watch_none()
        for timer in (self._timer, self._telling):
            if timer is not None and timer.active():
                timer.cancel()
        if self._following is not None:
            self._following.cancel()
        await self.client.close()


class Nodes:
    """All of them (panel.nodes).

    Attributes:
        nodes: by name.
    """

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.reactor = panel.reactor
        self.nodes: dict[str, Node] = {}
        for name, url in panel.settings.nodes.items():
            self._make(name, url, panel.settings.node_token or None)
        self._looks: dict[tuple[str, str], int] = {}
        self._ticker = LoopingCall(self._look)
        self._ticker.clock = panel.reactor

    def _make(self, name: str, url: str, token: str | None) -> Node:
        client = AsyncClient(url, token, timeout=TIMEOUT, reactor=self.reactor)
        self.nodes[name] = found = Node(self, name, url, client)
        return found

    async def add(self, name: str, url: str) -> None:
        """One more, or in place of the one of that name."""
        if name in self.nodes:
            await self.nodes.pop(name).close()
        self._make(name, url, None).follow()

    def now(self) -> float:
        """The clock."""
        return float(self.reactor.seconds())

    def begin(self) -> None:
        """Reach out for all."""
        for node in self.nodes.values():
            node.follow()
        self._ticker.start(1.0, now=False).addErrback(
            lambda failure: log.failure("nodes are not looked after any more", failure)
        )

    def _look(self) -> None:
        for node in self.nodes.values():
            node.look()

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """An event for everybody."""
        self.panel.hub.publish(kind, data)

    def json(self) -> dict[str, Any]:
        """As pages begin with it."""
        return {name: node.json() for name, node in self.nodes.items()}

    # ---- finding

    def node(self, name: str) -> Node:
        """Raises Problem (404)."""
        found = self.nodes.get(name)
        if found is None:
            raise unknown("node", name, self.nodes)
        return found

    def find(self, proxy: str, node: str = "") -> Node:
        """The node that has this proxy. Raises Problem: none has (404), several have (409)."""
        if node:
            found = self.node(node)
            if proxy not in found.proxies:
                raise unknown("proxy", proxy, found.proxies)
            return found
        having = [one for one in self.nodes.values() if proxy in one.proxies]
        if len(having) > 1:
            names = ", ".join(one.name for one in having)
            raise Problem(
                409, "several-nodes", f"'{proxy}' is on several nodes ({names}): say which"
            )
        if not having:
            raise unknown("proxy", proxy, [p for one in self.nodes.values() for p in one.proxies])
        return having[0]

    # ---- looking at exchanges

    def look_until(self, node: str, proxy: str, end: Deferred[Any]) -> None:
        """Exchanges of this proxy are decoded and told until then."""
        key = (node, proxy)
        self._looks[key] = self._looks.get(key, 0) + 1

        def over(_: Any) -> None:
            self._looks[key] -= 1
            if not self._looks[key]:
                del self._looks[key]

        end.addBoth(over)
        self._look()

    def wanted(self, node: Node) -> frozenset[str]:
        """The proxies of a node whose exchanges somebody looks at."""
        runs = getattr(self.panel.runs, "active", {})
        for active in runs.values():
            if not active.over and any(view.hub.readers for view in active.views.values()):
                return frozenset(node.proxies)
        return frozenset(proxy for name, proxy in self._looks if name == node.name)

    # ---- the lever

    @property
    def lever(self) -> dict[str, Any] | None:
        """The lever of the first node where it is pulled."""
        return next((node.lever for node in self.nodes.values() if node.lever["on"]), None)

    def _pulled(self) -> dict[str, Any] | None:
        """The lever that was pulled here, and not just at some node."""
        found: dict[str, Any] | None = getattr(
            getattr(self.panel.runs, "queue", None), "held", None
        )
        return found

    def levers(self) -> dict[str, Any]:
        """Whether everything is stopped: here, or at some node."""
        held = self._pulled()
        pulled = {name: one.lever for name, one in self.nodes.items() if one.lever["on"]}
        first = held or next(iter(pulled.values()), None)
        return {
            "on": first is not None,
            "by": (first or {}).get("by") or "",
            "since": (first or {}).get("at") or (first or {}).get("since"),
            "runs": bool(held),
            "nodes": sorted(pulled),
            "away": sorted(name for name, one in self.nodes.items() if one.state != "up"),
        }

    def tell_lever(self, node: str = "") -> None:
        """It was pulled or released."""
        one = self.nodes[node].lever if node else self.levers()
        self.tell("lever", {**one, "node": node, "all": self.levers()})

    def panic_soon(self, on: bool, by: str) -> Deferred[dict[str, str]]:
        """panic(), begun at once."""
        return Deferred.fromCoroutine(self.panic(on, by))

    async def panic(self, on: bool, by: str) -> dict[str, str]:
        """Pull the lever of every node, or release it. What came of it, by node: "" is well."""
        waits = [Deferred.fromCoroutine(self._panic(node, on, by)) for node in self.nodes.values()]
        found = await gatherResults(waits)
        return dict(zip(self.nodes, found, strict=True))

    async def _panic(self, node: Node, on: bool, by: str) -> str:
        try:
            node.lever = dict(await node.client.panic(on, by))
        except RascalError as error:
            return str(error)
        return ""

    async def hold(self, node: Node) -> None:
        """A node that has come back while everything is stopped is stopped too."""
        held = self._pulled()
        if held and not node.lever["on"]:
            why = await self._panic(node, True, str(held.get("by") or "the panel"))
            if why:
                log.warn("node {name} could not be stopped: {why}", name=node.name, why=why)

    async def close(self) -> None:
        """The panel stops."""
        if self._ticker.running:
            self._ticker.stop()
        for node in self.nodes.values():
            await node.close()
