"""Reads the JSON of one request: which fault, script, roulette or recipe it asks for.

All findings are found together: what is wrong is taken out and reading goes on, so that a pointer
always leads to a member that was really sent.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from rascal.config.building import build, free_name
from rascal.config.registry import Registry
from rascal.config.specs import Form, Installed, usual_name
from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.language import Condition, Phrase, from_json, to_json
from rascal.language.phrase import check_shares
from rascal.wire.types import WireProtocol

IN_A_REQUEST = {
    "on": "the address names the proxy",
    "from": "only experiments have phases",
    "until": "only experiments have phases; write 'for 20s'",
}
"""Clauses that mean nothing in a request, and why."""

FINDINGS = 20
"""Of one request; what is beyond is not looked for."""

MEMBERS = {
    "roulette": ("roulette", "name", "enabled"),
    "script": ("steps", "match", "name", "enabled"),
}
"""The members of what is not one sentence; `text` is read-only beside them."""


def is_sentence(data: Any) -> bool:
    """Whether a request's body is {"text": …}, perhaps with clauses beside it."""
    return (
        isinstance(data, dict)
        and "text" in data
        and not {"kind", "roulette", "steps"} & data.keys()
    )


class Making:
    """Reads one request; what is wrong goes to `findings`.

    `texts` are the sentences that were read and the pointers to them, for what is wrong in one
    and is seen only when it is built.
    """

    def __init__(
        self,
        registry: Registry,
        protocol: WireProtocol,
        taken: Container[str],
        keep: str | None,
        enabled: bool,
    ) -> None:
        self.registry = registry
        self.protocol = protocol
        self.taken = taken
        self.keep = keep
        self.enabled = enabled
        self.kinds = registry.kinds(protocol)
        self.findings: list[ConfigError] = []
        self.texts: dict[str, str] = {}

    def make(self, form: Form, data: Any) -> Installed | None:
        if form == "script":
            return self._script(data)
        if isinstance(data, dict) and "roulette" in data and "kind" not in data:
            return self._roulette(data)
        found = self._sentence(data) if is_sentence(data) else self._phrase("fault", data, "")
        self._check_text(data)
        if found is None:
            return None
        made: Form = "recipe" if found.kind == "recipe" else "fault"
        if form == "recipe" and made != "recipe":
            self._find(found.problem("a recipe begins with its word: recipe cold-cache for 60s"))
            return None
        named = found.clause("name")
        name = self._name(named, usual_name(found), partial(found.problem, name="name"))
        if made == "fault" and not self.enabled and found.clause("enabled") is None:
            found = replace(found, clauses=(*found.clauses, ("enabled", False)))
        return self._build(made, name, (found,), enabled=self.enabled)

    # ---- forms

    def _script(self, data: Any) -> Installed | None:
        place = "/steps"
        if isinstance(data, str):
            data, place = {"steps": data}, ""
        if not isinstance(data, dict):
            self._refuse("a script is an object or a text", "")
            return None
        data = dict(data)
        if "text" in data:
            text = data.pop("text")
            if "steps" not in data:
                data["steps"], place = text, "/text"
        self._members("script", data)
        match = self._value("match", data, ())
        if "steps" not in data:
            self._refuse("a script has steps: pass 2, error(…)", "/steps", code="value-missing")
            return None
        steps = self._list("script", "step", data["steps"], place)
        return self._whole("script", data, steps, match)

    def _roulette(self, data: dict[str, Any]) -> Installed | None:
        data = {name: value for name, value in data.items() if name != "text"}
        self._members("roulette", data)
        faults = self._list("roulette", "fault", data["roulette"], "/roulette")
        for phrase in faults or ():
            for clause in ("name", "enabled"):
                if phrase.clause(clause) is not None:
                    text = f"'{clause}' belongs to the whole roulette: write it beside the list"
                    self._find(phrase.problem(text, clause))
        return self._whole("roulette", data, faults, ())

    def _whole(
        self,
        form: Form,
        data: dict[str, Any],
        phrases: tuple[Phrase, ...] | None,
        match: tuple[Condition, ...],
    ) -> Installed | None:
        named = self._value("name", data, None)
        enabled = self._value("flag", data, self.enabled, member="enabled")
        if not phrases:
            return None
        name = self._name(named, form, lambda text: ConfigError(text, pointer="/name"))
        return self._build(form, name, phrases, match=match or (), enabled=enabled)

    def _build(
        self, form: Form, name: str | None, phrases: tuple[Phrase, ...], **more: Any
    ) -> Installed | None:
        if name is None or self.findings:
            return None
        try:
            return build(self.registry, self.protocol, form, name, phrases, **more)
        except ConfigErrors as errors:
            for error in errors.findings:
                self._find(error)
        except ConfigError as error:
            self._find(error)
        return None

    def _name(
        self, named: str | None, usual: str, problem: Callable[[str], ConfigError]
    ) -> str | None:
        if self.keep is not None:
            if named in (None, self.keep):
                return self.keep
            error = problem(f"the name stays '{self.keep}': remove it and add '{named}'")
        elif named is None:
            return free_name(usual, self.taken)
        elif named not in self.taken:
            return named
        else:
            error = problem(f"'{named}' is the name of another fault of this proxy")
            error.code = "name-taken"
        self._find(error)
        return None

    # ---- reading

    def _read(self, type_: str, data: Any, pointer: str) -> Any:
        if isinstance(data, str):
            self.texts.setdefault(data, pointer)
        return from_json(
            type_,
            data,
            kinds=self.kinds,
            fields=self.protocol.fields,
            protocol=self.protocol.name,
            recipes=self.registry.recipes,
            without=IN_A_REQUEST,
            pointer=pointer,
        )

    def _value(self, type_: str, data: dict[str, Any], default: Any, member: str = "") -> Any:
        """A member that is there, read; the default if it is not or is wrong."""
        member = member or type_
        if member not in data:
            return default
        try:
            return self._read(type_, data[member], f"/{member}")
        except ConfigError as error:
            self._find(error)
            return default

    def _list(self, what: str, item: str, data: Any, pointer: str) -> tuple[Phrase, ...] | None:
        """The sentences of a script or a roulette, in one text or one by one."""
        before = len(self.findings)
        try:
            if isinstance(data, list) and data:
                read = [self._phrase(item, one, f"{pointer}/{i}") for i, one in enumerate(data)]
                found = tuple(phrase for phrase in read if phrase is not None)
                if what == "roulette" and len(self.findings) == before:
                    check_shares(found)
            else:
                found = self._read(what, data, pointer)
        except ConfigError as error:
            self._find(error)
        return found if len(self.findings) == before else None

    def _sentence(self, data: Any) -> Phrase | None:
        """A sentence as {"text": …}; further members are clauses that it does not have."""
        if not isinstance(data["text"], str):
            self._refuse("the text is a string that holds a sentence", "/text")
            return None
        try:
            phrase: Phrase = self._read("fault", data["text"], "/text")
        except ConfigError as error:
            self._find(error)
            return None
        rest = {name: value for name, value in data.items() if name != "text"}
        if not rest:
            return phrase
        whole = to_json(phrase)
        for name in list(rest):
            if name in whole:
                self._refuse(f"'{name}' is given twice: in the text and here", f"/{name}")
                del rest[name]
            elif name == "options":
                self._refuse("the text has the options", "/options")
                del rest[name]
        whole |= rest
        merged = self._phrase("fault", whole, "")
        if merged is None:
            return None
        places = {name: at for name, at in merged.places.items() if name in rest}
        return replace(merged, source=phrase.source, places=dict(phrase.places) | places)

    def _check_text(self, data: Any) -> None:
        """A text beside a kind is what we once answered; one of another kind was meant."""
        if not isinstance(data, dict) or is_sentence(data):
            return
        text, kind = data.get("text"), data.get("kind")
        if not isinstance(text, str) or not isinstance(kind, str):
            return
        try:
            said = self._read("fault", text, "/text").kind
        except ConfigError:
            return
        if said != kind:
            self._refuse(f"the text says '{said}', the kind '{kind}': leave one out", "/text")

    def _phrase(self, what: str, data: Any, pointer: str) -> Phrase | None:
        """One sentence or its structure. Members that are wrong are taken out one by one."""
        if not isinstance(data, dict):
            try:
                read: Phrase = self._read(what, data, pointer)
            except ConfigError as error:
                self._find(error)
                return None
            return read
        rest, removed = copy.deepcopy(data), set[str]()
        while len(self.findings) < FINDINGS:
            try:
                found: Phrase = self._read(what, rest, pointer)
            except ConfigError as error:
                place = (error.pointer or "")[len(pointer) :]
                follows = error.code == "value-missing" and (
                    place in removed or any(gone.startswith("/options/") for gone in removed)
                )
                if not follows:
                    self._find(error)
                taken = _take_out(rest, place)
                if taken is None or follows:
                    return None
                removed.add(taken)
            else:
                return None if removed else found
        return None

    # ---- findings

    def _find(self, error: ConfigError) -> None:
        if error.pointer is None:
            error.pointer = self.texts.get(getattr(error, "text", ""), "")
        if len(self.findings) < FINDINGS:
            self.findings.append(error)

    def _refuse(
        self, text: str, pointer: str, *, code: str = "not-allowed", allowed: Iterable[str] = ()
    ) -> None:
        self._find(ConfigError(text, pointer=pointer, code=code, allowed=allowed))

    def _members(self, form: Form, data: dict[str, Any]) -> None:
        allowed = MEMBERS[form]
        for name in data:
            if name not in allowed:
                near = f".{did_you_mean(name, allowed)}".rstrip(".")
                self._refuse(
                    f"a {form} has no member '{name}'; allowed: {', '.join(allowed)}{near}",
                    f"/{_escape(name)}",
                    code="unknown-name",
                    allowed=allowed,
                )


def _take_out(data: dict[str, Any], place: str) -> str | None:
    """Take the member that `place` leads to out of the data; of a list the whole list."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in place.split("/")[1:]]
    here, path = data, ""
    for index, key in enumerate(keys):
        if key not in here:
            return None
        path += f"/{_escape(key)}"
        below = here[key]
        if index + 1 == len(keys) or not isinstance(below, dict) or keys[index + 1] not in below:
            del here[key]
            return path
        here = below
    return None


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
