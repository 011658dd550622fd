"""A proxy for a test, and the faults that it can be given."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Literal, NamedTuple, Self

from rascal.control.client import ConnectionData, ExchangeData, ProxyData, Refused
from rascal.errors import ConfigError, did_you_mean, listed
from rascal.testing._away import away
from rascal.testing._blocks import Block
from rascal.testing._node import Node, current_node

ANY = "127.0.0.1:0"
"""Where a proxy listens unless it is said: a port that is free."""

_WORD = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*\s*")
_naming = threading.Lock()


class Address(NamedTuple):
    """Where a proxy listens; `str` of it is HOST:PORT, and it goes where sockets want a pair."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Proxy:
    """A proxy in front of one upstream, while its block runs (or from `start` to `stop`).

    Args:
        protocol: what is spoken: mysql, redis, memcached, http, tcp …
        upstream: the real server: HOST:PORT, unix:/PATH or a pair; a proxy that is there already
            (RASCAL_URL) has one.
        name: of the proxy; the protocol's without it. Draws depend on it.
        listen: HOST:PORT or unix:/PATH.
        options: of the proxy and its protocol: connect_timeout="2s".

    Attributes:
        node: the node it stands on, from its start.
    """

    node: Node

    def __init__(
        self,
        protocol: str | None = None,
        *,
        upstream: str | tuple[str, int] | None = None,
        name: str | None = None,
        listen: str = ANY,
        **options: Any,
    ) -> None:
        if isinstance(upstream, tuple):
            upstream = str(Address(*upstream))
        self.protocol = protocol or ""
        self.upstream = upstream
        self.listen = listen
        self.options = options
        self.name = name or ""
        self._named = name is not None
        self._addresses: list[str] = []
        self._ours = False
        self._running = False

    def __repr__(self) -> str:
        return f"<rascal.testing.Proxy {self}>"

    def __str__(self) -> str:
        at = f" at {', '.join(self._addresses)}" if self._addresses else ""
        return f"{self.name or 'proxy'} ({self.protocol}){at}"

    # ---- its life

    def start(self) -> Self:
        """Let it listen, and start what it stands on."""
        if self._running:
            raise RuntimeError(f"{self} has been started")
        node = current_node()
        data = self._there(node) if node.remote else self._made(node)
        self.node = node
        self.name, self.protocol = data["name"], data["protocol"]
        self._addresses = list(data["addresses"])
        node.proxies[self.name] = self
        self._running = True
        return self

    def stop(self) -> None:
        """End it, and its connections; a proxy that was there before us stays."""
        if not self._running:
            return
        self._running = False
        self.node.proxies.pop(self.name, None)
        if self._ours and self.node.alive:
            try:
                self.node.call(lambda client: client.remove_proxy(self.name))
            except Refused as error:
                if error.status != 404:
                    raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> Literal[False]:
        self.stop()
        return False

    async def __aenter__(self) -> Self:
        return await away(self.start, lambda _: self.stop())

    async def __aexit__(self, *error: object) -> Literal[False]:
        await away(self.stop)
        return False

    # ---- where it is

    @property
    def address(self) -> Address:
        """Host and port that the code under test connects to."""
        for text in self._addresses:
            if not text.startswith("unix:"):
                host, _, port = text.rpartition(":")
                return Address(self._reachable(host.strip("[]")), int(port))
        raise RuntimeError(f"{self} listens on no port" if self._running else "it is not started")

    @property
    def host(self) -> str:
        """The host alone."""
        return self.address.host

    @property
    def port(self) -> int:
        """The port alone."""
        return self.address.port

    @property
    def path(self) -> str:
        """Of the UNIX socket on which it listens."""
        for text in self._addresses:
            if text.startswith("unix:"):
                return text.removeprefix("unix:")
        raise RuntimeError(f"{self} listens on no UNIX socket")

    @property
    def url(self) -> str:
        """`http://127.0.0.1:34567`, `redis://…`."""
        return f"{self.protocol}://{self.address}"

    def _reachable(self, host: str) -> str:
        """A service that listens on all addresses is reached by that of its control API."""
        try:
            anywhere = ip_address(host).is_unspecified
        except ValueError:
            return host
        where = self.node.place
        return (where.host if where.scheme != "unix" else "127.0.0.1") if anywhere else host

    # ---- what goes wrong

    def fault(
        self,
        what: str | Mapping[str, Any],
        *,
        may_miss: bool = False,
        seed: int | None = None,
        **more: Any,
    ) -> Block:
        """A fault while a block runs; leaving it fails if the fault never struck.

        Args:
            what: the sentence ("delay 2s match statement=UPDATE"), the kind alone, or a structure.
            may_miss: do not fail.
            seed: of all draws of this process while the block runs.
            more: clauses (match=, count=, for_="20s") and, beside the kind alone, its options.
        """
        return Block(self, "faults", _asked(what, more), may_miss=may_miss, seed=seed)

    def script(
        self,
        steps: str | Sequence[Any],
        *,
        match: Any = None,
        name: str | None = None,
        may_miss: bool = False,
        seed: int | None = None,
    ) -> Block:
        """Exact steps for the next exchanges that match: "pass 2, error(deadlock)".

        Leaving the block fails if it struck nothing; its `verify` fails unless every step was used.
        """
        given = {"steps": steps if isinstance(steps, str) else list(steps)}
        given |= {"match": match} if match is not None else {}
        given |= {"name": name} if name is not None else {}
        return Block(self, "scripts", given, may_miss=may_miss, seed=seed)

    def roulette(
        self,
        faults: str | Sequence[Any],
        *,
        name: str | None = None,
        may_miss: bool = False,
        seed: int | None = None,
    ) -> Block:
        """One draw for each exchange, and at most one strikes: "20% delay(1s), 10% error(503)"."""
        given = {"roulette": faults if isinstance(faults, str) else list(faults)}
        given |= {"name": name} if name is not None else {}
        return Block(self, "faults", given, may_miss=may_miss, seed=seed)

    def recipe(
        self, recipe: str, *, may_miss: bool = False, seed: int | None = None, **more: Any
    ) -> Block:
        """The faults of an incident: "overloaded-database strength=30%"."""
        text = recipe if re.match(r"\s*recipe\s", recipe) else f"recipe {recipe}"
        clauses, options = _split(more)
        words = [text, *(f"{name}={_text(value)}" for name, value in options.items())]
        given = {"text": " ".join(words), **clauses}
        return Block(self, "recipes", given, may_miss=may_miss, seed=seed)

    # ---- what was seen

    def exchanges(self, limit: int | None = None) -> list[ExchangeData]:
        """The latest exchanges that have ended, newest first."""
        return self.node.call(lambda client: client.exchanges(self.name, limit=limit))

    def connections(self) -> dict[str, ConnectionData]:
        """The connections that live, by number."""
        return self.node.call(lambda client: client.connections(self.name))

    # ---- how it comes to be

    def _made(self, node: Node) -> ProxyData:
        """A new proxy of its name, else of the protocol's with a number if that is taken."""
        if not self.protocol or self.upstream is None:
            raise ConfigError(
                "a proxy needs its protocol and its upstream: "
                'proxy("mysql", upstream="127.0.0.1:3306")',
                option="upstream",
            )
        protocol, upstream = self.protocol, self.upstream
        with _naming:
            name = self.name if self._named else _free(node.prefix + protocol, node.proxies)
            data = node.call(
                lambda client: client.add_proxy(
                    name, protocol, self.listen, upstream, **self.options
                )
            )
            node.proxies[name] = self
        self._ours = True
        return data

    def _there(self, node: Node) -> ProxyData:
        """The proxy of that name that is there already; a new one only where it can be reached."""
        known = node.call(lambda client: client.proxies())
        if self._named and self.name in known:
            found = known[self.name]
            if self.protocol and found["protocol"] != self.protocol:
                raise ConfigError(
                    f"{self.name} at {node.url} speaks {found['protocol']}, not {self.protocol}"
                )
            self._ours = False
            return found
        if self.upstream is not None and _near(node.place):
            return self._made(node)
        wanted = f"no proxy '{self.name}'" if self._named else "a name to be given: name=…"
        raise ConfigError(
            f"RASCAL_URL is {node.url}, where there is {wanted}; proxies: "
            f"{listed(known, 'rascal proxies')}.{did_you_mean(self.name, known)}".rstrip("."),
            option="name",
            value=self.name,
            allowed=known,
        )


def proxy(
    protocol: str | None = None,
    *,
    upstream: str | tuple[str, int] | None = None,
    name: str | None = None,
    listen: str = ANY,
    **options: Any,
) -> Proxy:
    """A proxy for the length of a block: `with proxy("mysql", upstream="127.0.0.1:3306") as db`.

    Its arguments are those of Proxy.
    """
    return Proxy(protocol, upstream=upstream, name=name, listen=listen, **options)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _near(where: Any) -> bool:
    """Whether a service is on this machine, so that what it listens on can be reached."""
    if where.scheme == "unix" or where.host == "localhost":
        return True
    try:
        return ip_address(where.host).is_loopback
    except ValueError:
        return False


def _asked(what: str | Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The request for a fault."""
    clauses, options = _split(more)
    if not isinstance(what, str):
        given = dict(what)
        return {**given, **clauses} | (
            {"options": {**given.get("options", {}), **options}} if options else {}
        )
    if not options:
        return {"text": what, **clauses}
    if not _WORD.fullmatch(what):
        name = next(iter(options))
        raise ConfigError(
            f"{name}= is an option of a kind: give it beside the kind alone "
            f'(fault("delay", delay="2s")), or write it into the sentence "{what}"',
            option=name,
        )
    return {"kind": what.strip(), "options": options, **clauses}


def _split(more: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords as clauses and as options of the kind."""
    if not more:
        return {}, {}
    from rascal.language import CLAUSES

    clauses: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in more.items():
        written = name.removesuffix("_")
        (clauses if written in CLAUSES else options)[written] = value
    return clauses, options


def _text(value: Any) -> str:
    """A value in a sentence."""
    from datetime import timedelta

    if isinstance(value, timedelta):
        return f"{round(value.total_seconds() * 1_000_000)}us"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
