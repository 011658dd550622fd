"""Plans as JSON and back: what the store keeps and what travels to agents.

Every quantity is a text with its unit, as everywhere (docs/language.md); a plan comes back equal.
The keys are the names of a load file where both have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rascal.errors import ConfigErrors
from rascal.language import LanguageError, from_json, option_from_json, plain, to_json
from rascal.load.plan import Plan, Share
from rascal.load.wishes import PLAN, SHARE
from rascal.options import Option, OptionTable
from rascal.units import plain_text

VERSION = 1


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON, keys in a stable order."""
    return {
        "version": VERSION,
        "file": plan.file,
        "shares": [share_json(share) for share in plan.shares],
        **_options_json(PLAN, plan),
        "options": dict(plan.options),
        "headers": dict(plan.headers),
        "allow": list(plan.allow),
        "objectives": [to_json(one) for one in plan.objectives],
        "stop": [to_json(one) for one in plan.stop],
        "dependencies": list(plan.dependencies),
        "labels": list(plan.labels),
    }


def share_json(share: Share) -> dict[str, Any]:
    """One share."""
    return {
        "scenarios": list(share.scenarios),
        "profile": to_json(share.profile),
        **_options_json(SHARE, share),
    }


def _options_json(table: OptionTable, holder: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, option in table.items():
        value = getattr(holder, name)
        found[name] = plain_text("duration", value) if option.type == "duration" else value
    return found


def plan_from_json(data: Any, pointer: str = "") -> Plan:
    """The plan that `plan_json` wrote; raises ConfigErrors with JSON pointers."""
    reader = _Reader(pointer)
    found = reader.plan(data)
    if reader.findings:
        raise ConfigErrors(reader.findings)
    return Plan(**found)


def shares_from_json(data: Any, pointer: str = "") -> tuple[Share, ...]:
    """Shares alone, as a change of the load carries them."""
    reader = _Reader(pointer)
    found = reader.shares(data, pointer)
    if reader.findings:
        raise ConfigErrors(reader.findings)
    return found


class _Reader:
    """Collects findings while it reads."""

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        self.findings: list[LanguageError] = []

    def refuse(self, message: str, pointer: str) -> None:
        self.findings.append(LanguageError(message, pointer=pointer))

    def plan(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.refuse("a plan is an object", self.pointer)
            return {}
        if data.get("version", VERSION) != VERSION:
            self.refuse(
                f"this is a plan of version {data['version']}, here is version {VERSION}",
                f"{self.pointer}/version",
            )
            return {}
        known = {field.name for field in attrs.fields(Plan)} | {"version"}
        for name in data:
            if name not in known:
                self.refuse(f"a plan has no member '{name}'", f"{self.pointer}/{name}")
        for name in ("file", "target", "shares"):
            if name not in data:
                self.refuse(f"a plan has a '{name}'", self.pointer)
        found: dict[str, Any] = self.options(PLAN, data, self.pointer)
        found["file"] = self.text(data.get("file", ""), f"{self.pointer}/file")
        found["shares"] = self.shares(data.get("shares", []), f"{self.pointer}/shares")
        for name in ("allow", "dependencies", "labels"):
            place = f"{self.pointer}/{name}"
            items = self.items(data.get(name, []), place)
            found[name] = tuple(self.text(one, f"{place}/{n}") for n, one in enumerate(items))
        for name in ("objectives", "stop"):
            found[name] = tuple(
                self.read("objective", one, f"{self.pointer}/{name}/{index}")
                for index, one in enumerate(self.items(data.get(name, []), f"/{name}"))
            )
        for name in ("options", "headers"):
            value = data.get(name, {})
            if not isinstance(value, Mapping):
                self.refuse(f"{name} is an object", f"{self.pointer}/{name}")
                value = {}
            found[name] = dict(value)
        return found

    def shares(self, data: Any, pointer: str) -> tuple[Share, ...]:
        found = []
        for index, item in enumerate(self.items(data, pointer)):
            place = f"{pointer}/{index}"
            if not isinstance(item, Mapping):
                self.refuse("a share is an object", place)
                continue
            names = self.items(item.get("scenarios", []), f"{place}/scenarios")
            profile = item.get("profile") or []
            found.append(
                Share(
                    scenarios=tuple(self.text(one, f"{place}/scenarios") for one in names),
                    profile=self.read("profile", profile, f"{place}/profile") if profile else (),
                    **self.options(SHARE, item, place),
                )
            )
        return tuple(found)

    def options(self, table: OptionTable, data: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        found = {}
        for name, option in table.items():
            if name not in data or (option.type == "text" and data[name] == ""):
                continue
            value = self.read(option, data[name], f"{pointer}/{name}")
            if value is not None:
                found[name] = plain(value)
        return found

    def read(self, type_: Any, data: Any, pointer: str) -> Any:
        try:
            if isinstance(type_, Option):
                return option_from_json(type_, data, pointer)
            return from_json(type_, data, pointer=pointer)
        except LanguageError as error:
            self.findings.append(error)
            return None

    def text(self, data: Any, pointer: str) -> str:
        if isinstance(data, str):
            return data
        self.refuse("this is a text", pointer)
        return ""

    def items(self, data: Any, pointer: str) -> list[Any]:
        if isinstance(data, list):
            return data
        self.refuse("this is a list", pointer)
        return []
