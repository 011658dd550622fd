"""proxies.ini to a Configuration: all of it is checked, and all findings are shown together.

Order of precedence: command line (`overrides`), environment (RASCAL_SEED …), file, defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from rascal.config.clashes import address_findings
from rascal.config.files import Files, items
from rascal.config.ini import Entry, Section
from rascal.config.registry import Registry, installed
from rascal.config.sentences import Sentences
from rascal.config.specs import Configuration, ProxySpec, Token
from rascal.config.tables import FORMS, INSTALLED, PROXY, SERVICE
from rascal.config.tokens import HASHED, hash_token
from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.language import (
    CLAUSES,
    Address,
    LanguageError,
    parse_option,
    plain_options,
)
from rascal.language.reader import LONGEST_NAME, NAME
from rascal.options import Option, OptionTable

PARTS = ("fault", "script", "roulette", "recipe")
ROLES = ("viewer", "operator", "admin")
UNIX_PATH = 107
"""Bytes that the path of a UNIX socket may have (Linux, unix(7))."""


def load(
    path: str,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> Configuration:
    """Read and check a whole configuration.

    Args:
        path: the file.
        environ: the environment, for ${NAME} and for RASCAL_SEED and the like.
        overrides: options of [rascal] from the command line.
        registry: the protocols and kinds; by default those that are installed.

    Raises:
        ConfigErrors: everything that is wrong, in the order of the files.
    """
    reader = Files(environ)
    reader.read(path, ())
    reading = _Reading(registry or installed(), reader.findings)
    configuration = reading.configuration(path, reader, overrides or {})
    if reading.findings:
        order = {name: index for index, name in enumerate(reader.files)}
        raise ConfigErrors(
            sorted(reading.findings, key=lambda f: (order.get(f.path or "", -1), f.line or 0))
        )
    return configuration


class _Reading:
    """Turns sections into values; what is wrong goes to `findings`."""

    def __init__(self, registry: Registry, findings: Iterable[ConfigError]) -> None:
        self.registry = registry
        self.findings = list(findings)

    def configuration(self, path: str, files: Files, overrides: Mapping[str, str]) -> Configuration:
        """The whole of it; half of it may be missing if there are findings."""
        proxies: dict[str, Section] = {}
        parts: list[tuple[Section, str, str, str]] = []
        service: dict[str, Entry] = {}
        for section in files.sections:
            form, _, name = section.name.partition(":")
            if section.name == "rascal":
                self._service_entries(section, service)
            elif form == "proxy" and ":" in section.name:
                self._proxy_name(section, name, proxies)
            elif form in PARTS and ":" in section.name:
                proxy, _, part = name.partition("/")
                parts.append((section, form, proxy, part))
            else:
                self._unknown(section, form)
        for section, _, proxy, _ in parts:
            self._check_part(section, proxy, proxies)
        specs: dict[str, ProxySpec] = {}
        for name, section in proxies.items():
            mine = [(s, form, part) for s, form, proxy, part in parts if proxy == name]
            if spec := self._proxy(name, section, mine):
                specs[name] = spec
        configuration = self._service(service, files.environ, overrides, specs, path, files.files)
        self.findings += address_findings(configuration, service, proxies)
        return configuration

    # ---- [rascal]

    def _service_entries(self, section: Section, service: dict[str, Entry]) -> None:
        for name, entry in section.entries.items():
            if name == "include":
                continue
            if name not in SERVICE:
                self._no_option(section, entry, SERVICE)
            elif name in service:
                earlier = service[name]
                message = f"'{name}' is set already, {earlier.path}:{earlier.line}"
                self.findings.append(entry.name_error(message, code="given-twice"))
            else:
                service[name] = entry

    def _service(
        self,
        service: dict[str, Entry],
        environ: Mapping[str, str],
        overrides: Mapping[str, str],
        proxies: dict[str, ProxySpec],
        path: str,
        files: Iterable[str],
    ) -> Configuration:
        given: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for name, option in SERVICE.items():
            if name == "include":
                continue
            variable = f"RASCAL_{name.upper()}"
            if name in service:
                found = self._entry_value(
                    service[name], lambda e, o=option: service_value(o, e.text)
                )
                if found is not None:
                    given[name] = values[name] = found
            for source, texts, key in (
                ("the environment's ", environ, variable),
                ("", overrides, name),
            ):
                if key in texts:
                    try:
                        values[name] = service_value(option, texts[key])
                    except ConfigError as error:
                        self.findings.append(
                            ConfigError(
                                f"{source}{key}: {error.message}",
                                option=name,
                                value=texts[key],
                                allowed=error.allowed,
                                code=error.code,
                            )
                        )
        control = values.get("control", service_value(SERVICE["control"], "127.0.0.1:8474"))
        return Configuration(
            control=None if control == "off" else control,
            seed=values.get("seed"),
            hosts=values.get("hosts", ()),
            compatible=values.get("compatible", "loopback"),
            control_certificate=values.get("control_certificate"),
            control_key=values.get("control_key"),
            conditional=values.get("conditional", "optional"),
            tokens=values.get("tokens", ()),
            recent=values.get("recent", SERVICE["recent"].default),
            log=values.get("log", "text"),
            given=given,
            proxies=proxies,
            path=path,
            files=tuple(files),
        )

    # ---- proxies

    def _proxy_name(self, section: Section, name: str, proxies: dict[str, Section]) -> None:
        if problem := name_problem(name):
            self.findings.append(section.error(f"[{section.name}]: {problem}"))
        elif name in proxies:
            earlier = proxies[name]
            if (earlier.path, earlier.name) != (section.path, section.name):
                message = f"the proxy '{name}' stands already in {earlier.path}:{earlier.line}"
                self.findings.append(section.error(message, code="given-twice"))
        else:
            proxies[name] = section

    def _check_part(self, section: Section, proxy: str, proxies: dict[str, Section]) -> None:
        form, _, name = section.name.partition(":")
        part = name.partition("/")[2]
        problem = ""
        if "/" not in name or not proxy:
            problem = f"name the proxy and the {form}: [{form}:PROXY/NAME]"
        elif proxy not in proxies:
            known = ", ".join(proxies) or "none"
            near = f".{did_you_mean(proxy, proxies)}".rstrip(".")
            problem = f"there is no proxy '{proxy}'; proxies: {known}{near}"
        else:
            problem = name_problem(part)
        if problem:
            self.findings.append(
                section.error(f"[{section.name}]: {problem}", allowed=tuple(proxies))
            )

    def _proxy(
        self, name: str, section: Section, parts: list[tuple[Section, str, str]]
    ) -> ProxySpec | None:
        protocol = self._protocol(section)
        if protocol is None:
            return None
        given: dict[str, Any] = {}
        for key, entry in section.entries.items():
            option = PROXY.get(key) or protocol.options.get(key)
            if option is None:
                if key not in INSTALLED:
                    table = OptionTable(
                        *PROXY.values(), *protocol.options.values(), *INSTALLED.values()
                    )
                    self._no_option(section, entry, table)
            elif key == "listen":
                given[key] = self._listen(option, entry)
            elif (
                value := self._entry_value(entry, lambda e, o=option: parse_option(o, e.text))
            ) is not None:
                given[key] = value
        self._missing(section, PROXY)
        self._missing(section, protocol.options)
        sentences = Sentences(self.registry, protocol)
        for key in section.entries:
            if key == "faults":
                sentences.faults(section.entries[key])
            elif key == "roulette":
                sentences.roulette(section.entries[key])
        for part, form, part_name in parts:
            if name_problem(part_name):
                continue
            read = {
                "fault": sentences.fault_section,
                "script": sentences.script_section,
                "roulette": sentences.roulette_section,
                "recipe": sentences.recipe_section,
            }[form]
            read(part, part_name)
        installed_ = sentences.install()
        self.findings += sentences.findings
        self._check_upstream(section, given)
        if not given.get("listen") or "upstream" not in given:
            return None
        own = {key: value for key, value in given.items() if key in PROXY}
        return ProxySpec(
            name=name,
            protocol=protocol,
            listen=given["listen"],
            upstream=given["upstream"],
            options=plain_options(PROXY, own),
            protocol_options=plain_options(
                protocol.options, {key: given[key] for key in given if key not in PROXY}
            ),
            given=given,
            installed=installed_,
            path=section.path,
            line=section.line,
        )

    def _protocol(self, section: Section) -> Any:
        entry = section.entries.get("protocol")
        protocols = self.registry.protocols
        if entry is None:
            known = ", ".join(protocols)
            message = f"[{section.name}] lacks 'protocol'; protocols: {known}"
            self.findings.append(section.error(message, allowed=tuple(protocols)))
        elif entry.text not in protocols:
            near = f".{did_you_mean(entry.text, protocols)}".rstrip(".")
            message = f"protocol '{entry.text}' is not known; allowed: {', '.join(protocols)}{near}"
            self.findings.append(
                entry.error(message, allowed=tuple(protocols), code="unknown-name")
            )
        else:
            return protocols[entry.text]
        return None

    def _listen(self, option: Option, entry: Entry) -> tuple[Address, ...]:
        found: list[Address] = []
        for text, at in items(entry):
            value = self._entry_value(entry, lambda e, t=text: parse_option(option, t), at)
            if value is None:
                return ()
            if value.type == "unix" and len(os.fsencode(value.path)) > UNIX_PATH:
                message = f"a socket's path has at most {UNIX_PATH} bytes"
                self.findings.append(entry.error(message, at))
            found.append(value)
        if not found and not self.findings:
            self.findings.append(entry.error("listen has no value", code="value-missing"))
        return tuple(found)

    def _check_upstream(self, section: Section, given: dict[str, Any]) -> None:
        upstream = given.get("upstream")
        if not isinstance(upstream, Address):
            return
        entry = section.entries["upstream"]
        if upstream.type == "tcp" and not upstream.port:
            self.findings.append(entry.error("an upstream has a port from 1"))
        for address in given.get("listen", ()):
            if address == upstream:
                message = f"the proxy would call itself: it listens on {address}"
                self.findings.append(entry.error(message))

    # ---- helpers

    def _entry_value(self, entry: Entry, read: Any, at: int = 0) -> Any:
        try:
            return read(entry)
        except LanguageError as error:
            error.at += at
            self.findings.append(entry.located(error))
        except ConfigError as error:
            self.findings.append(entry.error(error.message, at, allowed=error.allowed))
        return None

    def _missing(self, section: Section, table: OptionTable) -> None:
        for name, option in table.items():
            if option.required and name not in section.entries:
                message = f"[{section.name}] lacks '{name}': {option.help}"
                self.findings.append(section.error(message, code="value-missing"))

    def _no_option(self, section: Section, entry: Entry, table: OptionTable) -> None:
        near = did_you_mean(entry.name, table)
        self.findings.append(
            entry.name_error(
                f"[{section.name}] has no option '{entry.name}'; options: {', '.join(table)}"
                + (f".{near}" if near else ""),
                allowed=tuple(table),
                code="unknown-name",
            )
        )

    def _unknown(self, section: Section, form: str) -> None:
        words = [word[1:-1].partition(":")[0] for word in FORMS]
        near = did_you_mean(form, words)
        self.findings.append(
            section.error(
                f"the section [{section.name}] is not known; allowed: {', '.join(FORMS)}"
                + (f".{near}" if near and form not in words else ""),
                allowed=FORMS,
                code="unknown-name",
            )
        )


def service_value(option: Option, text: str) -> Any:
    """The value of an option of [rascal]; hosts and tokens are tuples."""
    if option.name == "control" and text.strip() == "off":
        return "off"
    if option.name == "hosts":
        return tuple(text.replace(",", " ").split())
    if option.name != "tokens":
        return parse_option(option, text)
    tokens = []
    for line in text.replace(",", "\n").split("\n"):
        if not line.strip():
            continue
        role, _, secret = line.strip().partition(" ")
        secret = secret.strip()
        if role not in ROLES or not secret:
            raise ConfigError("write 'ROLE TOKEN'; roles: viewer, operator, admin", allowed=ROLES)
        hashed = HASHED.fullmatch(secret)
        if secret.startswith("sha256:") and not hashed:
            raise ConfigError("a hashed token is sha256: and 64 hexadecimal digits, then a name")
        name = (hashed[2] or "") if hashed else ""
        digest = hashed[1].lower() if hashed else hash_token(secret)
        tokens.append(Token(role=role, secret=digest, name=name, plain=not hashed))  # type: ignore[arg-type]
    return tuple(tokens)


def name_problem(name: str) -> str:
    if not NAME.fullmatch(name):
        return f"'{name}' cannot be a name: a letter, then letters, digits, '-', '_' or '.'"
    if name in CLAUSES:
        return f"'{name}' cannot be a name: it is a clause of faults"
    if len(name) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} characters, found {len(name)}"
    return ""
