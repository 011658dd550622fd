"""A proxy made or changed by a request: its JSON to a ProxySpec, with all findings together.

    make_proxy({"name": "db", "protocol": "mysql", "listen": "127.0.0.1:0", "upstream": "…"})
    changed_proxy(spec, {"upstream": "10.0.0.5:3306", "options": {"connect_timeout": "2s"}})

`options` holds what may stand in the proxy's section besides: the options of every proxy and those
of its protocol. A change is a merge patch; null gives an option its default again. With another
protocol the options of the old one go, and so does what is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from rascal.config.clashes import clash
from rascal.config.load import UNIX_PATH, name_problem
from rascal.config.registry import Registry, installed
from rascal.config.specs import ProxySpec
from rascal.config.tables import PROXY
from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.language import Address, LanguageError, option_from_json, plain_options
from rascal.options import Option

MEMBERS = ("name", "protocol", "listen", "upstream", "enabled", "options")
"""What a proxy's JSON has."""

PLAIN = ("protocol", "listen", "upstream", "enabled")
"""Options that are members of their own."""


def make_proxy(data: Any, registry: Registry | None = None) -> ProxySpec:
    """The specification that a request asks for. Raises ConfigErrors with JSON pointers."""
    return _Making(registry or installed(), None).make(data)


def changed_proxy(old: ProxySpec, patch: Any, registry: Registry | None = None) -> ProxySpec:
    """What a proxy becomes by a merge patch; its name stays. Raises ConfigErrors."""
    return _Making(registry or installed(), old).make(patch)


def check_addresses(
    proxies: Mapping[str, ProxySpec], control: Address | None, fresh: Iterable[str]
) -> None:
    """Refuse that one of the `fresh` proxies listens where something else does already.

    Raises ConfigErrors, with pointers into the proxy's own JSON.
    """
    findings = []
    names = set(fresh)
    for name in names & proxies.keys():
        for n, address in enumerate(proxies[name].listen):
            owner = _owner(proxies, control, name, n, address)
            if owner:
                message = f"{address} is taken by {owner}"
                findings.append(ConfigError(message, pointer=f"/listen/{n}", code="address-taken"))
    if findings:
        raise ConfigErrors(findings)


def _owner(
    proxies: Mapping[str, ProxySpec],
    control: Address | None,
    name: str,
    n: int,
    address: Address,
) -> str:
    if control is not None and clash(address, control):
        return "the control API"
    for other, spec in proxies.items():
        for m, one in enumerate(spec.listen):
            if (other != name or m < n) and clash(address, one):
                return f"the proxy '{other}'"
    return ""


class _Making:
    """Reads one request; what is wrong goes to `findings`."""

    def __init__(self, registry: Registry, old: ProxySpec | None) -> None:
        self.registry = registry
        self.old = old
        self.findings: list[ConfigError] = []

    def make(self, data: Any) -> ProxySpec:
        if not isinstance(data, dict):
            raise ConfigErrors([ConfigError("a proxy is an object", pointer="")])
        allowed = MEMBERS if self.old is None else MEMBERS[1:]
        for name in data:
            if name == "name" and self.old is not None:
                if data[name] != self.old.name:
                    self._find("the name of a proxy stays: remove it and add the other", "/name")
            elif name not in allowed:
                near = f".{did_you_mean(name, allowed)}".rstrip(".")
                message = f"a proxy has no member '{name}'; allowed: {', '.join(allowed)}{near}"
                self._find(message, f"/{escape(name)}", "unknown-name", allowed)
        name = self._name(data)
        protocol = self._protocol(data)
        listen, upstream = self._listen(data), self._upstream(data)
        given = self._given(data, protocol) if protocol is not None else {}
        self._check_upstream(listen, upstream, "upstream" in data)
        if self.findings or protocol is None or not listen or upstream is None:
            raise ConfigErrors(self.findings)
        own = {key: value for key, value in given.items() if key in PROXY}
        rest = {key: value for key, value in given.items() if key not in PROXY}
        plain = {"protocol": protocol.name, "listen": listen, "upstream": upstream}
        kept = self.old is not None and self.old.protocol.name == protocol.name
        return ProxySpec(
            name=name,
            protocol=protocol,
            listen=listen,
            upstream=upstream,
            options=plain_options(PROXY, plain | own),
            protocol_options=plain_options(protocol.options, rest),
            given=plain | given,
            installed=self.old.installed if self.old is not None and kept else (),
        )

    # ---- members

    def _name(self, data: dict[str, Any]) -> str:
        if self.old is not None:
            return self.old.name
        name = data.get("name")
        if not isinstance(name, str):
            code = "not-allowed" if "name" in data else "value-missing"
            self._find("a proxy has a name", "/name", code)
            return ""
        problem = name_problem(name)
        if problem:
            self._find(problem, "/name")
        return name

    def _protocol(self, data: dict[str, Any]) -> Any:
        if self.old is not None and "protocol" not in data:
            return self.old.protocol
        known = self.registry.protocols
        given = data.get("protocol")
        if isinstance(given, str) and given in known:
            return known[given]
        names = ", ".join(known)
        if isinstance(given, str):
            near = f".{did_you_mean(given, known)}".rstrip(".")
            message = f"protocol '{given[:40]}' is not known; allowed: {names}{near}"
            self._find(message, "/protocol", "unknown-name", known)
        else:
            code = "not-allowed" if "protocol" in data else "value-missing"
            self._find(f"a proxy has a protocol: {names}", "/protocol", code, known)
        return None

    def _listen(self, data: dict[str, Any]) -> tuple[Address, ...]:
        if self.old is not None and "listen" not in data:
            return self.old.listen
        given = data.get("listen")
        texts = given if isinstance(given, list) else [given]
        if not texts or "listen" not in data:
            self._find("a proxy listens somewhere: 127.0.0.1:0", "/listen", "value-missing")
            return ()
        if len(texts) > 100:
            self._find("a proxy listens at no more than 100 addresses", "/listen")
            return ()
        found: list[Address] = []
        for n, text in enumerate(texts):
            pointer = f"/listen/{n}" if isinstance(given, list) else "/listen"
            address = self._option(PROXY["listen"], text, pointer)
            if not isinstance(address, Address):
                continue
            if address.type == "unix" and len(os.fsencode(address.path)) > UNIX_PATH:
                self._find(f"a socket's path has at most {UNIX_PATH} bytes", pointer)
            elif address.type == "unix" and {*" ,"} & {*address.path}:
                self._find("the path of a socket holds neither blanks nor commas here", pointer)
            elif any(clash(address, other) for other in found):
                self._find(f"{address} is given twice", pointer, "given-twice")
            found.append(address)
        return tuple(found)

    def _upstream(self, data: dict[str, Any]) -> Address | None:
        if self.old is not None and "upstream" not in data:
            return self.old.upstream
        if "upstream" not in data:
            message = "a proxy has an upstream: host:port or unix:/path"
            self._find(message, "/upstream", "value-missing")
            return None
        found = self._option(PROXY["upstream"], data["upstream"], "/upstream")
        return found if isinstance(found, Address) else None

    def _check_upstream(
        self, listen: tuple[Address, ...], upstream: Address | None, given: bool
    ) -> None:
        if upstream is None:
            return
        pointer = "/upstream" if given else "/listen"
        if upstream.type == "tcp" and not upstream.port:
            self._find("an upstream has a port from 1", pointer)
        elif upstream in listen:
            self._find(f"the proxy would call itself: it listens on {upstream}", pointer)

    def _given(self, data: dict[str, Any], protocol: Any) -> dict[str, Any]:
        """The options that are set, as language values."""
        tables = {**PROXY, **protocol.options}
        found = {
            name: value
            for name, value in (self.old.given.items() if self.old is not None else ())
            if name in tables and name not in PLAIN
        }
        enabled = data.get("enabled", True if self.old is None else self.old.options.enabled)
        if not isinstance(enabled, bool):
            self._find("'enabled' is a boolean", "/enabled", allowed=("true", "false"))
        elif not enabled:
            found["enabled"] = False
        options = data.get("options", {})
        if not isinstance(options, dict):
            self._find("'options' is an object", "/options")
            return found
        allowed = [name for name in tables if name not in PLAIN]
        for name, value in options.items():
            pointer = f"/options/{escape(name)}"
            if name not in allowed:
                near = f".{did_you_mean(name, allowed)}".rstrip(".")
                message = f"a proxy has no option '{name}'; options: {', '.join(allowed)}{near}"
                self._find(message, pointer, "unknown-name", allowed)
            elif value is None:
                found.pop(name, None)
            else:
                found[name] = self._option(tables[name], value, pointer)
        for name, option in protocol.options.items():
            if option.required and name not in found:
                message = f"a proxy of {protocol.name} has '{name}': {option.help}"
                self._find(message, f"/options/{name}", "value-missing")
        return found

    # ---- helpers

    def _option(self, option: Option, data: Any, pointer: str) -> Any:
        if isinstance(data, str) and not (data.strip() and data.isprintable()):
            self._find(f"'{option.name}' is a text on one line", pointer)
            return None
        try:
            return option_from_json(option, data, pointer)
        except LanguageError as error:
            error.pointer = pointer
            self.findings.append(error)
        except ConfigError as error:
            error.pointer = pointer
            self.findings.append(error)
        return None

    def _find(
        self, message: str, pointer: str, code: str = "not-allowed", allowed: Iterable[str] = ()
    ) -> None:
        self.findings.append(ConfigError(message, pointer=pointer, code=code, allowed=allowed))


def escape(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
