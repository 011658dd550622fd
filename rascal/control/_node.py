"""The node as a whole: counters, panic, seed, reload, health.

GET, DELETE  /api/v1/counters     DELETE sets them to zero and answers with what they were
GET, PUT     /api/v1/panic        {"on": true, "by": "who"}
GET, PUT     /api/v1/seed         {"seed": 7}; null draws one
POST         /api/v1/reload
GET          /healthz, /readyz    for probes: no token, any Host
"""

from __future__ import annotations

import secrets
from typing import Any

from rascal.control import _views as views
from rascal.control._call import Call, flag_of, text_of
from rascal.control._problems import Problem
from rascal.control._schemas import named, ref
from rascal.control._site import Api
from rascal.errors import ConfigError, ConfigErrors

SEEDS = 10**15
"""So many there are; proxies.ini knows no longer numbers."""


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    counters, panic, seed = named(ref("Counters")), ref("Panic"), ref("Seed")
    api.add("GET", "/api/v1/counters", get_counters, gives=counters)
    api.add("DELETE", "/api/v1/counters", reset_counters, "operator", gives=counters)
    api.add("GET", "/api/v1/panic", get_panic, gives=panic)
    api.add("PUT", "/api/v1/panic", set_panic, "operator", takes=ref("Lever"), gives=panic)
    api.add("GET", "/api/v1/seed", get_seed, gives=seed)
    api.add("PUT", "/api/v1/seed", set_seed, "admin", takes=ref("NewSeed"), gives=seed)
    nothing = {"takes": ref("Nothing"), "gives": ref("Reloaded")}
    api.add("POST", "/api/v1/reload", reload, "admin", **nothing)
    api.add("GET", "/healthz", healthy, gives=ref("Health"), open=True)
    api.add("GET", "/readyz", ready, gives=ref("Health"), open=True)


def get_counters(call: Call) -> dict[str, Any]:
    """What all proxies have counted."""
    call.query()
    return {name: views.counters(proxy) for name, proxy in call.node.proxies.items()}


def reset_counters(call: Call) -> dict[str, Any]:
    """Counters to zero; match numbers and used counts go on."""
    before = get_counters(call)
    for proxy in call.node.proxies.values():
        proxy.reset_counters()
    return before


def get_panic(call: Call) -> dict[str, Any]:
    """Whether the lever is pulled, by whom and since when."""
    call.query()
    return views.panic(call.node.panic)


def set_panic(call: Call) -> dict[str, Any]:
    """Pull the lever or release it."""
    data = call.members(call.body(), ("on", "by"), "the lever")
    findings: list[ConfigError] = []
    on, by = False, ""
    for read in (lambda: flag_of(data, "on"), lambda: text_of(data, "by", "")):
        try:
            value = read()
        except ConfigError as error:
            findings.append(error)
        else:
            on, by = (value, by) if isinstance(value, bool) else (on, value)
    if findings:
        raise ConfigErrors(findings)
    call.node.set_panic(on, by or call.role)
    return views.panic(call.node.panic)


def get_seed(call: Call) -> dict[str, Any]:
    """The seed of all draws."""
    call.query()
    return {"seed": call.node.seed}


def set_seed(call: Call) -> dict[str, Any]:
    """Another seed: all streams of draws, match numbers and scripts begin anew."""
    data = call.members(call.body(), ("seed",), "the seed")
    seed = data.get("seed", "")
    if seed is None:
        seed = secrets.randbits(32)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
        code = "not-allowed" if "seed" in data else "value-missing"
        message = f"a seed is a whole number from 0 to {SEEDS - 1}, or null: one is drawn"
        raise ConfigError(message, pointer="/seed", code=code)
    call.node.set_seed(seed)
    return get_seed(call)


def reload(call: Call) -> dict[str, Any]:
    """Read the file again; what is wrong in it changes nothing."""
    call.nothing()
    return views.changes(call.node.reload())


def healthy(call: Call) -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok"}


def ready(call: Call) -> dict[str, Any]:
    """Every proxy that should listen does."""
    waiting = [
        name
        for name, proxy in call.node.proxies.items()
        if proxy.enabled and not list(proxy.addresses)
    ]
    if waiting:
        raise Problem(503, "not-ready", "some proxies do not listen yet", proxies=waiting)
    return {"status": "ok"}
