"""proxies.ini: read strictly, compared on reload, and written.

configuration = load("proxies.ini", os.environ)     raises ConfigErrors: all findings at once
difference(old, new)                                what a reload has to do
export(configuration)                               text that loads back to the same
check("proxies.ini", os.environ)                    the summary line of `rascal check`
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from rascal.config.changes import Changes, ProxyChange, difference
from rascal.config.export import export
from rascal.config.load import load
from rascal.config.registry import Registry, installed
from rascal.config.specs import Configuration, Installed, ProxySpec, Token
from rascal.config.tables import PROXY, ROULETTE, SCRIPT, SERVICE


def check(
    path: str, environ: Mapping[str, str] | None = None, *, registry: Registry | None = None
) -> str:
    """Read a file and say in one line what it holds. Raises ConfigErrors."""
    found = load(path, os.environ if environ is None else environ, registry=registry)
    return f"{path}: {summary(found)}: all well"


def summary(configuration: Configuration) -> str:
    """`4 proxies, 3 faults (1 armed), 1 roulette, 1 script`."""
    proxies = configuration.proxies.values()
    parts = [_counted(len(proxies), "proxy", "proxies")]
    for form, plural in (
        ("fault", "faults"),
        ("roulette", "roulettes"),
        ("script", "scripts"),
        ("recipe", "recipes"),
    ):
        found = [one for proxy in proxies for one in proxy.installed if one.form == form]
        if found:
            armed = sum(one.enabled for one in found)
            note = f" ({armed} armed)" if form == "fault" else ""
            parts.append(_counted(len(found), form, plural) + note)
    return ", ".join(parts)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


__all__ = [
    "PROXY",
    "ROULETTE",
    "SCRIPT",
    "SERVICE",
    "Changes",
    "Configuration",
    "Installed",
    "ProxyChange",
    "ProxySpec",
    "Registry",
    "Token",
    "check",
    "difference",
    "export",
    "installed",
    "load",
    "summary",
]
