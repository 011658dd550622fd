"""Changes to a node, gathered and then made all or none.

    draft = Draft(call.node, call.registry)
    draft.add("faults", "db", "delay 2s")          what is wrong raises; nothing has happened yet
    draft.change_proxy("db", {"upstream": "10.0.0.5:3306"})
    draft.commit()                                 binds ports first; if that fails all stays

Every change by a request goes this way, one alone or many together (POST /api/v1/state).
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Mapping
from typing import Any

import attrs

from rascal.config.changes import Changes, proxy_change
from rascal.config.installing import changed, make_installed
from rascal.config.proxying import changed_proxy, check_addresses, make_proxy
from rascal.config.registry import Registry
from rascal.config.specs import Form, Installed, ProxySpec
from rascal.control._problems import Problem, unknown
from rascal.errors import ConfigError, ConfigErrors
from rascal.language import LanguageError, option_from_json, plain
from rascal.language.reader import NAME
from rascal.options import Option

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "faults": ("fault", "roulette"),
    "scripts": ("script",),
    "recipes": ("recipe",),
}
"""The collections of a proxy and the forms that they hold."""

CHANGING = ("POST", "PATCH", "DELETE")
"""The methods of changes."""

TERMS = ("enable_in", "lease")
"""Members that say for how long and from when; no part of the fault itself."""

ENABLE_IN = Option("enable_in", "duration", "arm it after so long", maximum=86_400.0)
LEASE_FOR = Option("for", "duration", "how long a lease lasts", minimum=0.1, maximum=86_400.0)

INSTALLED = 10_000
"""Faults, scripts and recipes on one proxy."""

PROXIES = 10_000
"""Proxies of one node."""


@attrs.define
class _Wish:
    """What is to be done with something installed when it is there.

    Attributes:
        arm: enable or disable it, even if it seems to be so.
        restart: from the beginning.
        enable_in: arm it after so many seconds.
        lease: under this lease (id, seconds); None: as it is; "" as the id: under none.
    """

    arm: bool | None = None
    restart: bool = False
    enable_in: float | None = None
    lease: tuple[str, float | None] | None = None


class Draft:
    """What is to become of a node's proxies.

    Args:
        node: is asked, and changed by `commit` only.
        registry: its vocabulary.
    """

    def __init__(self, node: Any, registry: Registry) -> None:
        self.node = node
        self.registry = registry
        self._old: dict[str, ProxySpec | None] = {}
        self._new: dict[str, ProxySpec | None] = {}
        self._again: set[str] = set()
        self._fresh: set[tuple[str, str]] = set()
        self._wishes: dict[tuple[str, str], _Wish] = {}

    # ---- proxies

    def names(self) -> list[str]:
        """The proxies that there will be."""
        kept = [name for name in self.node.proxies if self._new.get(name, True) is not None]
        return kept + [n for n, spec in self._new.items() if spec and n not in kept]

    def spec(self, name: str) -> ProxySpec:
        """A proxy as it will be. Raises Problem (404)."""
        if name in self._new:
            found = self._new[name]
        else:
            proxy = self.node.proxies.get(name)
            found = None if proxy is None else proxy.current()
            if found is not None:
                self._old[name] = self._new[name] = found
        if found is None:
            raise unknown("proxy", name, self.names())
        return found

    def create(self, data: Any) -> str:
        """A new proxy; its name."""
        spec = make_proxy(data, self.registry)
        names = self.names()
        if spec.name in names:
            message = f"'{spec.name}' is the name of another proxy"
            raise ConfigError(message, pointer="/name", code="name-taken")
        if len(names) >= PROXIES:
            raise Problem(409, "too-many", f"a node has at most {PROXIES} proxies")
        if spec.name in self._old and self._old[spec.name] is not None:
            self._again.add(spec.name)
        self._old.setdefault(spec.name, None)
        self._new[spec.name] = spec
        self._check(spec.name)
        return spec.name

    def change_proxy(self, name: str, patch: Any) -> None:
        """Other settings for a proxy."""
        old = self.spec(name)
        new = changed_proxy(old, patch, self.registry)
        if new != old or vars(new.options) != vars(old.options):
            self._new[name] = new
            if new.listen != old.listen or new.options.enabled:
                self._check(name)

    def remove_proxy(self, name: str) -> None:
        """A proxy goes, and all that is on it."""
        self.spec(name)
        self._new[name] = None
        self._again.discard(name)

    def _check(self, name: str) -> None:
        specs = {
            one: self._new[one] if one in self._new else self.node.proxies[one].spec
            for one in self.names()
        }
        control = self.node.configuration.control
        check_addresses(specs, control, [name])  # type: ignore[arg-type]  # names() are there

    # ---- what is installed

    def add(self, collection: str, proxy: str, data: Any) -> Installed:
        """Install what the data say."""
        spec = self.spec(proxy)
        data, wish = _split(data)
        taken = names_on(spec)
        if len(taken) >= INSTALLED:
            raise Problem(409, "too-many", f"a proxy has at most {INSTALLED} faults")
        form: Form = "fault" if collection == "faults" else collection[:-1]  # type: ignore[assignment]
        one = make_installed(form, data, spec, taken, registry=self.registry)
        _check_parts(one, taken)
        if wish is not None:
            if wish.enable_in is not None:
                one = attrs.evolve(one, enabled=False)
            self._wishes[proxy, one.name] = wish
        self._put(proxy, (*spec.installed, one))
        self._fresh.add((proxy, one.name))
        return one

    def change(self, collection: str, proxy: str, name: str, patch: Any) -> Installed:
        """Change it by a merge patch or a sentence; {"enabled": …} alone arms or disarms."""
        spec = self.spec(proxy)
        one = own(collection, spec, name)
        if not isinstance(patch, dict | str):
            message = "a change is an object with the members that change, or a sentence"
            raise ConfigError(message, pointer="")
        patch, wish = _split(patch)
        made = changed(one, patch, spec, registry=self.registry)
        if made != one:
            _check_parts(made, names_on(spec) - {name, *(part.name for part in one.specs)})
            self._put(proxy, tuple(made if each is one else each for each in spec.installed))
        flag = patch.get("enabled") if isinstance(patch, dict) else None
        if isinstance(flag, bool) or wish is not None:
            wish = wish or _Wish()
            wish.arm = flag if isinstance(flag, bool) else None
            self._wish(proxy, name, wish)
        return made

    def remove(self, collection: str, proxy: str, name: str) -> Installed:
        """Take it away."""
        spec = self.spec(proxy)
        one = own(collection, spec, name)
        self._put(proxy, tuple(each for each in spec.installed if each is not one))
        self._fresh.discard((proxy, name))
        self._wishes.pop((proxy, name), None)
        return one

    def restart(self, collection: str, proxy: str, name: str) -> Installed:
        """From the beginning, armed."""
        one = own(collection, self.spec(proxy), name)
        self._wish(proxy, name, _Wish(restart=True))
        return one

    def _put(self, proxy: str, installed: tuple[Installed, ...]) -> None:
        spec = self.spec(proxy)
        self._new[proxy] = attrs.evolve(spec, installed=installed)

    def _wish(self, proxy: str, name: str, wish: _Wish) -> None:
        before = self._wishes.get((proxy, name))
        if before is not None:
            wish.lease = wish.lease or before.lease
            wish.restart = wish.restart or before.restart
            if wish.arm is None and not wish.restart:
                wish.enable_in = wish.enable_in if wish.enable_in is not None else before.enable_in
        self._wishes[proxy, name] = wish

    # ---- the end

    def commit(self) -> Changes:
        """Make it so. Raises ConfigError or PanicError; nothing has changed then."""
        wishes = {
            (proxy, name): wish
            for (proxy, name), wish in self._wishes.items()
            if (spec := self._new.get(proxy)) and any(one.name == name for one in spec.installed)
        }
        if any(wish.arm or wish.restart or wish.enable_in is not None for wish in wishes.values()):
            self.node.admits()
        self._grant(wishes)
        changes = self._changes()
        self.node.apply(changes)
        for (proxy, name), wish in wishes.items():
            _do(self.node.proxies[proxy], name, wish)
        return changes

    def _grant(self, wishes: Mapping[tuple[str, str], _Wish]) -> None:
        """The one thing that can fail after all; a lease without anything under it is harmless."""
        for wish in wishes.values():
            if wish.lease is not None and wish.lease[0]:
                self.node.leases.grant(*wish.lease)

    def _changes(self) -> Changes:
        added, removed, changed_ = [], [], []
        for name, new in self._new.items():
            old = self._old.get(name)
            if old is not None and (new is None or name in self._again):
                removed.append(old)
            if new is not None and (old is None or name in self._again):
                added.append(new)
            elif new is not None and old is not None and new is not old:
                change = self._renewed(name, proxy_change(old, new), old, new)
                if change is not None:
                    changed_.append(change)
        return Changes(
            added=tuple(added), removed=tuple(removed), changed=tuple(changed_), service=()
        )

    def _renewed(self, name: str, change: Any, old: ProxySpec, new: ProxySpec) -> Any:
        """What was removed and added again is new, with new books."""
        before = {one.name for one in old.installed}
        again = [
            one for one in new.installed if (name, one.name) in self._fresh and one.name in before
        ]
        if not again:
            return change
        change = change or proxy_change(old, new, always=True)
        names = {one.name for one in again}
        return attrs.evolve(
            change,
            added=(*change.added, *again),
            changed=tuple(one for one in change.changed if one.name not in names),
            reordered=True,
        )


def names_on(spec: ProxySpec) -> set[str]:
    """The names that are in use on a proxy, those of the parts of recipes among them."""
    return {one.name for one in spec.installed} | {
        part.name for one in spec.installed for part in one.specs
    }


def own(collection: str, spec: ProxySpec, name: str) -> Installed:
    """Something that may be changed by itself. Raises Problem."""
    for one in spec.installed:
        if one.name == name and one.form in COLLECTIONS[collection]:
            return one
        parts = one.specs if one.form == "recipe" and collection == "faults" else ()
        if any(part.name == name for part in parts):
            text = f"'{name}' belongs to the recipe '{one.name}': change or lift the recipe"
            raise Problem(409, "part-of-recipe", text, recipe=one.name)
    raise missing(collection, spec.installed, name)


def missing(collection: str, installed: Any, name: str) -> Problem:
    """404: the collection has no such thing; perhaps another has."""
    forms = COLLECTIONS[collection]
    known = [one.name for one in installed if one.form in forms]
    if collection == "faults":
        known += [p.name for one in installed if one.form == "recipe" for p in one.specs]
    problem = unknown(collection[:-1], name, known)
    other = next((one for one in installed if one.name == name), None)
    if other is not None:
        problem.title = f"'{name}' is a {other.form}: see {other.form}s"
    return problem


def _check_parts(one: Installed, taken: Container[str]) -> None:
    """The parts of a recipe have names of their own."""
    clash = next((spec.name for spec in one.specs if spec.name in taken), None)
    if clash is not None:
        message = f"'{clash}' is the name of another fault of this proxy"
        raise ConfigError(message, pointer="", code="name-taken")


def _do(proxy: Any, name: str, wish: _Wish) -> None:
    if wish.restart:
        proxy.restart(name)
    elif wish.arm is not None:
        proxy.arm(name, wish.arm)
    if wish.enable_in is not None:
        proxy.arm_in(name, wish.enable_in)
    if wish.lease is not None:
        proxy.under(name, wish.lease[0] or None)


# ---- terms


def _split(data: Any) -> tuple[Any, _Wish | None]:
    """The fault itself, and on what terms it is there. Raises ConfigErrors."""
    if not isinstance(data, dict) or not data.keys() & {*TERMS}:
        return data, None
    wish, findings = _Wish(), list[ConfigError]()
    try:
        if "enable_in" in data:
            wish.enable_in = duration(ENABLE_IN, data["enable_in"], "/enable_in")
            if "enabled" in data:
                message = "'enabled' says nothing beside 'enable_in': leave one of them out"
                findings.append(ConfigError(message, pointer="/enabled"))
    except ConfigError as error:
        findings.append(error)
    try:
        if "lease" in data:
            wish.lease = _lease(data["lease"])
    except ConfigError as error:
        findings.append(error)
    if findings:
        raise ConfigErrors(findings)
    rest = {name: value for name, value in data.items() if name not in TERMS}
    return rest, wish


def _lease(data: Any) -> tuple[str, float | None]:
    """`run-7`, `15s`, {"id": "run-7", "for": "15s"}; null: none."""
    if data is None:
        return "", None
    if isinstance(data, str):
        data = {"id": data} if NAME.fullmatch(data) else {"for": data}
    if not isinstance(data, dict) or not data or data.keys() - {"id", "for"}:
        message = 'a lease is {"id": NAME, "for": DURATION} or one of the two alone'
        raise ConfigError(message, pointer="/lease", allowed=("id", "for"))
    seconds = duration(LEASE_FOR, data["for"], "/lease/for") if "for" in data else None
    if "id" not in data:
        return f"lease-{secrets.token_hex(8)}", seconds
    return lease_id(data["id"], "/lease/id"), seconds


def lease_id(data: Any, pointer: str) -> str:
    """The name of a lease. Raises ConfigError."""
    if not isinstance(data, str) or not NAME.fullmatch(data) or len(data) > 100:
        message = "a lease's id is a name: a letter, then letters, digits, '-', '_' or '.'"
        raise ConfigError(message, pointer=pointer)
    return data


def duration(option: Option, data: Any, pointer: str) -> float:
    """Seconds from a text such as 15s. Raises ConfigError."""
    try:
        return float(plain(option_from_json(option, data, pointer), option.type))
    except LanguageError as error:
        error.pointer = pointer
        raise
