"""What proxies.ini says, as frozen values: a Configuration of ProxySpecs of Installed faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import attrs

from rascal.language import CLAUSES, Address, Condition, Phrase, show, to_json
from rascal.options import Options
from rascal.wire.types import WireProtocol

if TYPE_CHECKING:
    from rascal.faults.spec import FaultSpec, RouletteSpec, ScriptSpec

Form = Literal["fault", "script", "roulette", "recipe"]


def usual_name(phrase: Phrase) -> str:
    """The name of a fault that is given none, if it is free: its kind; of a recipe its name."""
    return str(phrase.option("recipe")) if phrase.kind == "recipe" else phrase.kind


@attrs.frozen(kw_only=True)
class Installed:
    """One fault, script, roulette or recipe of one proxy.

    Attributes:
        form: which of them.
        name: unique on its proxy.
        phrases: the fault; the steps of a script; the shares of a roulette. A fault's clauses
            `name` and `enabled` are not in it but here.
        match: of a script as a whole.
        enabled: armed from the start.
        specs: what the data path installs; one, or those that a recipe expands to.
        toxic: what the compatible API was told that it is (rascal.config.toxics), else None.
        path, line: where it stands.
    """

    form: Form
    name: str
    phrases: tuple[Phrase, ...]
    match: tuple[Condition, ...] = ()
    enabled: bool = True
    specs: tuple[Any, ...] = attrs.field(default=(), eq=False, repr=False)
    toxic: Any = attrs.field(default=None, eq=False, repr=False)
    path: str | None = attrs.field(default=None, eq=False)
    line: int | None = attrs.field(default=None, eq=False)

    @cached_property
    def text(self) -> str:
        """In words: the sentence, or the list of sentences."""
        if self.form in ("script", "roulette"):
            return show(self.phrases)
        phrase = self.phrases[0]
        clauses = dict(phrase.clauses)
        if not self.enabled and self.form == "fault":
            clauses["enabled"] = False
        if self.name != usual_name(phrase):
            clauses["name"] = self.name
        ordered = tuple((name, clauses[name]) for name in CLAUSES if name in clauses)
        return show(replace(phrase, clauses=ordered))

    @cached_property
    def structure(self) -> Mapping[str, Any]:
        """The canonical JSON, from which requests make the same; not to be changed."""
        found: dict[str, Any]
        if self.form == "script":
            found = {"match": to_json(self.match)} if self.match else {}
            found["steps"] = to_json(self.phrases)
        elif self.form == "roulette":
            found = {"roulette": to_json(self.phrases)}
        else:
            found = to_json(self.phrases[0])
        if not self.enabled and self.form != "recipe":
            found["enabled"] = False
        return found | {"name": self.name}


@attrs.frozen(kw_only=True)
class ProxySpec:
    """One proxy as configured.

    Attributes:
        name: unique.
        protocol: what is spoken.
        listen: where; at least one.
        upstream: the real server.
        options: plain values of the table PROXY (connect_timeout, mirror, proxy_protocol, backlog,
            enabled, tls …).
        protocol_options: plain values of the protocol's own table.
        given: the options that are set, as language values, in the file's order.
        installed: faults, scripts and roulettes in the order in which they are asked.
        path, line: where it stands.
    """

    name: str
    protocol: WireProtocol = attrs.field(eq=lambda protocol: protocol.name)
    listen: tuple[Address, ...]
    upstream: Address
    options: Options = attrs.field(eq=False)
    protocol_options: Options = attrs.field(eq=False)
    given: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    installed: tuple[Installed, ...] = ()
    path: str | None = attrs.field(default=None, eq=False)
    line: int | None = attrs.field(default=None, eq=False)

    def live(self, enabled: bool, installed: tuple[Installed, ...]) -> ProxySpec:
        """The same, listening or not, with other things installed."""
        given = {name: value for name, value in self.given.items() if name != "enabled"}
        options = self.options
        if not enabled:
            given["enabled"] = False
        if options.enabled != enabled:
            options = type(options)(**{**vars(options), "enabled": enabled})
        return attrs.evolve(self, given=given, options=options, installed=installed)

    @property
    def faults(self) -> tuple[FaultSpec, ...]:
        """The faults, those of recipes among them."""
        return tuple(_specs(self.installed, "fault", "recipe"))

    @property
    def scripts(self) -> tuple[ScriptSpec, ...]:
        """The scripts."""
        return tuple(_specs(self.installed, "script"))

    @property
    def roulettes(self) -> tuple[RouletteSpec, ...]:
        """The roulettes."""
        return tuple(_specs(self.installed, "roulette"))


@attrs.frozen(kw_only=True)
class Token:
    """Who has this secret may do what its role allows.

    Attributes:
        role: viewer, operator or admin.
        secret: sha256:HEX of it; the secret itself is not kept.
        name: whose it is, for the log.
        plain: it stood unhashed where it was read.
    """

    role: Literal["viewer", "operator", "admin"]
    secret: str = attrs.field(repr=False)
    name: str = ""
    plain: bool = attrs.field(default=False, eq=False)


@attrs.frozen(kw_only=True)
class Configuration:
    """A whole proxies.ini with the files that it includes.

    Attributes:
        control: where the control API listens; None: nowhere.
        seed: of all draws; None: to be drawn at start.
        hosts: further Host names of the control API.
        compatible: who may use the compatible API.
        control_certificate, control_key: files for HTTPS on the control port.
        conditional: whether changes must say If-Match.
        tokens: none: no log-in, loopback only.
        recent: exchanges kept for listings, for each proxy.
        log: how the log is written.
        given: the options of [rascal] that the files set, as language values.
        proxies: in the file's order, by name.
        path: the file; files: all that were read, itself first.
    """

    control: Address | None
    seed: int | None = None
    hosts: tuple[str, ...] = ()
    compatible: Literal["loopback", "open", "off"] = "loopback"
    control_certificate: str | None = None
    control_key: str | None = None
    conditional: Literal["optional", "required"] = "optional"
    tokens: tuple[Token, ...] = ()
    recent: int = 1000
    log: Literal["text", "json"] = "text"
    given: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    proxies: Mapping[str, ProxySpec] = attrs.field(factory=dict, hash=False)
    path: str = attrs.field(default="", eq=False)
    files: tuple[str, ...] = attrs.field(default=(), eq=False)


def _specs(installed: Iterable[Installed], *forms: Form) -> Iterable[Any]:
    return (spec for one in installed if one.form in forms for spec in one.specs)
