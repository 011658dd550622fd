"""One Compose file over another, or a service over the one that it extends.

The rules of the Compose Specification ("Merge"): mappings are merged name by name, lists grow,
some lists have things that are the same by a key (ports, volumes), a command replaces. What may be
written in two ways (environment as a list or as names) is brought into one of them first, and only
where two have to be merged: a file that stands alone is kept as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rascal.wrapping.yamlfile import Block, Items, Text, is_null, wrong

Rule = Callable[[Any, Any], Any]
Read = Callable[[str], str]
"""A text with the values of its variables: what is the same is told by these."""


def named(value: Any, separators: str = "=") -> Block:
    """A list of NAME=VALUE, or of names, as a mapping."""
    if isinstance(value, dict):
        return Block.of(value, value)
    found = Block.of((), value)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            found.update(item)
            continue
        if is_null(item):
            continue
        at = next((i for i, one in enumerate(item) if one in separators), -1)
        name = Text.of(item if at < 0 else item[:at], item, "")
        quotes = '"' if at >= 0 else ""
        found[name] = Text.of("null" if at < 0 else item[at + 1 :], item, quotes)
    return found


def listed(value: Any) -> Items:
    """One value or several, as a list."""
    if isinstance(value, list):
        return value if isinstance(value, Items) else Items(value)
    return Items.of([] if is_null(value) else [value], value)


def depends(value: Any) -> Block:
    """depends_on in its long form."""
    if isinstance(value, dict):
        return Block.of(value, value)
    started = {"condition": "service_started"}
    return Block.of({name: Block.of(dict(started), name) for name in listed(value)}, value)


def build(value: Any) -> Block:
    """build in its long form."""
    if isinstance(value, dict):
        return Block.of(value, value)
    return Block.of({} if is_null(value) else {"context": value}, value)


class Merger:
    """Merges; finds out by the values of variables what is the same."""

    def __init__(self, read: Read = str) -> None:
        self.read = read
        names: Mapping[str, Rule] = {
            "environment": self._names,
            "labels": self._names,
            "annotations": self._names,
            "sysctls": self._names,
            "extra_hosts": self._hosts,
            "depends_on": self._depends,
            "networks": self._names,
            "build": self._build,
            "logging": self._logging,
            "command": _over,
            "entrypoint": _over,
            "env_file": self._lists,
            "dns": self._lists,
            "dns_search": self._lists,
            "tmpfs": self._lists,
            "expose": self._sets,
            "cap_add": self._sets,
            "cap_drop": self._sets,
            "profiles": self._sets,
            "ports": lambda base, own: self._by(base, own, self.port_key),
            "volumes": lambda base, own: self._by(base, own, self.volume_key),
            "devices": lambda base, own: self._by(base, own, self.volume_key),
            "secrets": lambda base, own: self._by(base, own, self.source_key),
            "configs": lambda base, own: self._by(base, own, self.source_key),
            "healthcheck": self._healthcheck,
        }
        self.service_rules = names
        self.build_rules: Mapping[str, Rule] = {
            "args": self._names,
            "labels": self._names,
            "extra_hosts": self._hosts,
        }

    # ---- what is merged

    def files(self, base: Block, own: Block) -> Block:
        """The top of one file over that of another."""
        rules: Mapping[str, Rule] = {
            "services": lambda one, other: self._blocks(one, other, self.service),
        }
        return self.blocks(base, own, rules)

    def service(self, base: Any, own: Any) -> Any:
        """One service over another."""
        if not (isinstance(base, dict) and isinstance(own, dict)):
            return base if is_null(own) else own
        return self.blocks(base, own, self.service_rules)

    def blocks(self, base: Any, own: Any, rules: Mapping[str, Rule] | None = None) -> Block:
        """One mapping over another; !reset takes away, !override replaces."""
        found = Block.of(base, own)
        for name, value in own.items():
            tag = getattr(value, "tag", "")
            if tag == "!reset":
                found.pop(name, None)
            elif tag == "!override" or name not in found:
                found[name] = value
            else:
                rule = (rules or {}).get(name, self._anything)
                found[name] = rule(found[name], value)
        return found

    # ---- rules

    def _anything(self, base: Any, own: Any) -> Any:
        if isinstance(base, dict) and isinstance(own, dict):
            return self.blocks(base, own)
        if isinstance(base, list) and isinstance(own, list):
            return Items.of([*base, *own], own)
        return base if is_null(own) else own

    def _blocks(self, base: Any, own: Any, rule: Rule) -> Any:
        if not (isinstance(base, dict) and isinstance(own, dict)):
            return base if is_null(own) else own
        return self.blocks(base, own, dict.fromkeys(own, rule))

    def _names(self, base: Any, own: Any) -> Any:
        one, other = named(base), named(own)
        rules = dict.fromkeys(other, self._value)
        return self.blocks(one, other, rules)

    def _value(self, base: Any, own: Any) -> Any:
        """Of a name in environment or networks: nothing is a value there, too."""
        if isinstance(base, dict) and isinstance(own, dict):
            return self.blocks(base, own)
        return base if isinstance(base, dict) and is_null(own) else own

    def _hosts(self, base: Any, own: Any) -> Any:
        return self.blocks(named(base, "=:"), named(own, "=:"), {})

    def _depends(self, base: Any, own: Any) -> Any:
        return self.blocks(depends(base), depends(own))

    def _build(self, base: Any, own: Any) -> Any:
        return self.blocks(build(base), build(own), self.build_rules)

    def _logging(self, base: Any, own: Any) -> Any:
        if isinstance(base, dict) and isinstance(own, dict):
            drivers = base.get("driver"), own.get("driver")
            if None not in drivers and drivers[0] != drivers[1]:
                return own
        return self._anything(base, own)

    def _healthcheck(self, base: Any, own: Any) -> Any:
        if isinstance(base, dict) and isinstance(own, dict):
            return self.blocks(base, own, {"test": _over})
        return base if is_null(own) else own

    def _lists(self, base: Any, own: Any) -> Any:
        return Items.of([*listed(base), *listed(own)], own)

    def _sets(self, base: Any, own: Any) -> Any:
        return self._by(base, own, lambda item: self.read(item) if isinstance(item, str) else item)

    def _by(self, base: Any, own: Any, key: Callable[[Any], Any]) -> Any:
        found: dict[Any, Any] = {}
        for item in [*listed(base), *listed(own)]:
            found[_hashable(key(item))] = item
        return Items.of(found.values(), own)

    # ---- keys

    def port_key(self, item: Any) -> Any:
        """What is published where, as one text."""
        if isinstance(item, dict):
            names = ("host_ip", "published", "target", "protocol")
            parts = [self.read(str(item.get(name, ""))) for name in names]
            head = ":".join(part for part in parts[:3] if part)
            return f"{head}/{parts[3] or 'tcp'}"
        text = self.read(str(item))
        return text if "/" in text else f"{text}/tcp"

    def volume_key(self, item: Any) -> Any:
        """Where it is in the container."""
        if isinstance(item, dict):
            return self.read(str(item.get("target", "")))
        parts = self.read(str(item)).split(":")
        return parts[1] if len(parts) > 1 else parts[0]

    def source_key(self, item: Any) -> Any:
        """Where it is in the container, or its name."""
        if isinstance(item, dict):
            return self.read(str(item.get("target", item.get("source", ""))))
        return self.read(str(item))


def _over(base: Any, own: Any) -> Any:
    return base if is_null(own) else own


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str) else repr(value)


def must_be_names(value: Any, what: str, findings: list[Any]) -> Block:
    """A mapping, or a finding and an empty one."""
    if isinstance(value, dict):
        return value if isinstance(value, Block) else Block(value)
    if not is_null(value):
        from rascal.wrapping.yamlfile import kind_of

        findings.append(wrong(f"{what} are 'name: value' lines, found {kind_of(value)}", value))
    return Block()
