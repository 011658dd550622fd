"""What is configured, and how to change it in panel.ini. Nothing secret is shown."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from rascal import __version__
from rascal.control._auth import ROLES
from rascal.load.masking import mask_url
from rascal.load.targets import PROOF
from rascal.panel.settings import PANEL, Settings
from rascal.panel.site import Call, Panel, Redirect

TABS = (
    ("", "General"),
    ("targets", "Targets"),
    ("tokens", "Tokens"),
    ("people", "People"),
    ("observers", "Observers"),
    ("nodes", "Nodes"),
    ("audit", "Audit"),
    ("about", "About"),
)
SECRET = ("node_token", "mail", "command", "tokens")
"""Options of which only is told whether they are set."""
MAY = {
    "viewer": "sees everything, changes nothing",
    "operator": "switches faults, starts and ends runs, pulls the lever, labels and deletes runs",
    "admin": "adds and removes proxies as well, and jobs from repositories",
}
PARTS = ("Twisted", "klein", "Jinja2", "txredisapi", "httptools", "PyYAML")
"""What the panel and the load client stand on."""


def routes(panel: Panel) -> None:
    """Add the addresses."""
    for slug, _ in TABS:
        panel.page(f"/settings/{slug}" if slug else "/settings", _tab(slug))
    panel.get("/settings/general", lambda call: Redirect("/settings"))


def _tab(slug: str) -> Any:
    async def page(call: Call) -> Any:
        found = _MAKERS[slug](call)
        if inspect.isawaitable(found):
            found = await found
        name = dict(TABS)[slug]
        return "settings.html", {
            "title": name if slug else "Settings",
            "tabs": TABS,
            "tab": slug,
            "it": found,
            "may_try": call.caller.may("admin"),
        }

    return page


# ---- general


def _general(call: Call) -> dict[str, Any]:
    panel = call.panel
    return {
        "open": panel.door.open,
        "who": _plain(call.caller.name, call.caller.role) or "no name",
        "role": call.caller.role,
        "may": MAY[call.caller.role],
        "options": list(_options(panel.settings)),
        "store": panel.runs.path,
    }


def _options(settings: Settings) -> Iterator[dict[str, Any]]:
    for option in PANEL.values():
        value = getattr(settings, option.name, option.default)
        yield {
            "name": option.name,
            "help": option.help.replace("`", ""),
            "value": shown(option.name, value),
            "set": bool(value) and str(value) != str(option.default),
        }


def shown(name: str, value: Any) -> str:
    """A value without anything secret."""
    if name in SECRET:
        count = len(value) if name == "tokens" and value else 0
        return f"{count} set" if count else "set" if value else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{one}={mask_url(str(url))}" for one, url in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(str(one) for one in value)
    if name == "webhook" and value:
        scheme, _, rest = str(value).partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('/')[0]}/…"
    if name == "session":
        return f"{value / 3600:g} h"
    return mask_url(str(value)) if value not in (None, "") else ""


# ---- one for each tab


async def _targets(call: Call) -> dict[str, Any]:
    more = await _shown(getattr(call.panel, "targets", None))
    found = more if isinstance(more, Mapping) else {}
    hosts = found.get("hosts")
    if hosts is None:
        why = "in 'targets' of panel.ini"
        hosts = [
            {"host": one, "state": "allowed", "why": why} for one in call.panel.settings.targets
        ]
    proof = {"path": PROOF, "record": "", "text": "", **(found.get("proof") or {})}
    check = str(found.get("check") or "") if call.caller.may("operator") else ""
    return {
        "hosts": hosts,
        "proof": proof,
        "needs": str(found.get("needs") or ""),
        "check": check,
    }


def _tokens(call: Call) -> dict[str, Any]:
    tokens = [
        {"name": one.name or "no name", "role": one.role} for one in call.panel.settings.tokens
    ]
    order = ("admin", "operator", "viewer")
    return {
        "tokens": sorted(tokens, key=lambda one: (order.index(one["role"]), one["name"])),
        "open": call.panel.door.open,
    }


def _people(call: Call) -> dict[str, Any]:
    return {
        "roles": [{"role": role, "may": MAY[role]} for role in ROLES],
        "sessions": _logged_in(call) if call.caller.may("admin") else None,
        "open": call.panel.door.open,
    }


def _logged_in(call: Call) -> list[dict[str, Any]]:
    return [
        {**one, "name": _plain(one["name"], one["role"]), "mine": one["name"] == call.caller.name}
        for one in call.panel.door.logged_in()
    ]


def _plain(name: str, role: str) -> str:
    """A caller is called `operator ann`; the role stands beside it here."""
    return "" if name == role else name.removeprefix(f"{role} ")


async def _observers(call: Call) -> dict[str, Any]:
    found = await _shown(getattr(call.panel, "observers", None))
    settings = call.panel.settings
    if found is None:
        found = [
            {"kind": name, "what": shown(name, getattr(settings, name)), "last": None}
            for name in ("webhook", "mail", "command")
            if getattr(settings, name)
        ]
    return {"observers": found}


def _nodes(call: Call) -> dict[str, Any]:
    known = getattr(call.panel.nodes, "nodes", None) or {}
    rows = []
    for name, url in call.panel.settings.nodes.items():
        node = known.get(name)
        rows.append(
            {
                "name": name,
                "url": mask_url(url),
                "state": getattr(node, "state", "unknown"),
                "why": str(getattr(node, "why", "") or ""),
                "since": getattr(node, "since", None),
                "proxies": len(list(getattr(node, "proxies", ()) or ())),
            }
        )
    return {"nodes": rows, "token": bool(call.panel.settings.node_token)}


def _audit(call: Call) -> dict[str, Any]:
    return {"entries": list(reversed(call.panel.audited))[:200]}


def _about(call: Call) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "parts": [(name, found) for name in PARTS if (found := _version(name))],
        "vendored": vendored(),
    }


_MAKERS: dict[str, Any] = {
    "": _general,
    "targets": _targets,
    "tokens": _tokens,
    "people": _people,
    "observers": _observers,
    "nodes": _nodes,
    "audit": _audit,
    "about": _about,
}


async def _shown(owner: Any) -> Any:
    """What the one who owns it tells; None if nobody does."""
    tell = getattr(owner, "shown", None)
    if tell is None:
        return None
    found = tell()
    return await found if inspect.isawaitable(found) else found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def vendored() -> list[dict[str, str]]:
    """The files of others that pages use, as their README has them."""
    text = (files("rascal.panel") / "static" / "vendor" / "README.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    names = ("file", "what", "version", "licence", "from", "digest")
    found = []
    for row in rows[2:]:
        one = dict(zip(names, (cell.strip() for cell in row), strict=False))
        stem = "htm" if "htm" in one["file"] else "uplot"
        found.append({**one, "text": f"vendor/{stem}-LICENSE.txt"})
    return found
