"""The protocols that are simulated: the product's side, the world's side, sentences about it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rascal.wire.types import WireProtocol
from tests.simulation import models, toy
from tests.simulation.models import Model
from tests.simulation.servers_http import HttpModel
from tests.simulation.servers_memcached import MemcachedModel
from tests.simulation.servers_mysql import MySQLModel, plain_mysql
from tests.simulation.servers_redis import RedisModel


@dataclass(frozen=True)
class Spoken:
    """One protocol.

    Attributes:
        make: a fresh instance. model: one connection's client and server.
        plain: a legal reply to anything, for faults that replace.
    """

    name: str
    make: Callable[[], WireProtocol]
    model: Callable[[random.Random], Model]
    plain: Callable[[Any], bytes]

    def sentence(self, rng: random.Random, name: str, protocol: WireProtocol) -> Any:
        from tests.simulation.sentences import specification

        return specification(rng, name, protocol, self)


def _of(name: str) -> Callable[[], WireProtocol]:
    def make() -> WireProtocol:
        module = import_module(f"rascal.wire.{name}")
        kind: Callable[[], WireProtocol] = type(module.PROTOCOL)
        return kind()

    return make


PROTOCOLS: dict[str, Spoken] = {
    "tcp": Spoken("tcp", _of("tcp"), models.TcpModel, lambda x: b""),
    "toy": Spoken("toy", toy.Toy, models.ToyModel, models.plain_toy),
    "redis": Spoken("redis", _of("redis"), RedisModel, models.plain_redis),
    "memcached": Spoken("memcached", _of("memcached"), MemcachedModel, models.plain_memcached),
    "mysql": Spoken("mysql", _of("mysql"), MySQLModel, plain_mysql),
    "http": Spoken("http", _of("http"), HttpModel, models.plain_http),
}
