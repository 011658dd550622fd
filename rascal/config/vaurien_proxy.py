"""What one of Vaurien's files says, as the section of a proxy.

Options that have no meaning here are noted with the reason; what is not known is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import attrs

from rascal.config.vaurien_behaviors import BEHAVIORS, SHARED, Behaviour, options_of
from rascal.config.vaurien_file import MISSING, Line, Sections, expanded
from rascal.errors import ConfigError, did_you_mean
from rascal.units import quantity_text

PROTOCOLS = {
    "tcp": "tcp",
    "http": "http",
    "memcache": "memcached",
    "redis": "redis",
    "mysql": "mysql",
    "smtp": "smtp",
}
"""Vaurien's protocols and ours."""

DEFAULTS = {
    "proxy": "localhost:8000",
    "backend": "localhost:80",
    "protocol": "tcp",
    "behavior": "100:dummy",
}

OLD = {"local": "proxy", "distant": "backend"}
"""Names of its first versions."""

WITHOUT_MEANING = {
    "stay_connected": "connections live as long as their two ends want",
    "pool_max_size": "there is no pool: each client has an upstream connection of its own",
    "pool_timeout": "there is no pool: each client has an upstream connection of its own",
    "bufsize": "bytes are passed on as they come",
    "sync": "nothing blocks",
    "async_mode": "nothing blocks",
    "http": "the control API is always there: [rascal] control",
    "http_host": "the control API is set in [rascal] control",
    "http_port": "the control API is set in [rascal] control",
    "log_level": "twistd keeps the log",
    "log_output": "twistd keeps the log (twistd --logfile)",
}
"""Options of [vaurien] that have nothing to say here, and why."""

PROTOCOL_OPTIONS = {
    "buffer": "bytes are passed on as they come",
    "keep_alive": "connections live as long as their two ends want",
    "reuse_socket": "each client has an upstream connection of its own",
    "overwrite_host_header": "",
}
"""Options of the protocols, and why they have nothing to say here if they have not."""

KNOWN = ("proxy", "backend", "protocol", "behavior", "timeout", "backlog")
STATSD = ("enabled", "host", "port", "prefix", "sample_rate")
ADDRESS = re.compile(r".+:[0-9]+|.*\$\{.+\}.*")
LONGEST_BACKLOG = 65535


@attrs.frozen
class Note:
    """Something that is different now."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Reading:
    """One file: one proxy. What is wrong goes to `findings`, what differs to `notes`."""

    def __init__(
        self,
        path: str,
        sections: Sections,
        environ: Mapping[str, str],
        protocols: Mapping[str, Any],
        findings: list[ConfigError],
        notes: list[Note],
    ) -> None:
        self.path = path
        self.sections = sections
        self.environ = environ
        self.protocols = protocols
        self.findings = findings
        self.notes = notes
        self.given = self._vaurien()

    def section(self, names: set[str]) -> str:
        """`[proxy:NAME]` and what belongs to it."""
        self._check_sections()
        protocol = self._protocol()
        name = _free(protocol, names)
        names.add(name)
        lines = [f"[proxy:{name}]", f"protocol = {protocol}"]
        lines.append(f"listen = {self._address('proxy')}")
        lines.append(f"upstream = {self._upstream()}")
        if protocol == "http" and self._protocol_flag("http", "overwrite_host_header", True):
            lines.append(f"host = {self._address('backend').removesuffix(':80')}")
        lines += self._timeouts()
        roulette, faults = self._faults(protocol)
        if roulette:
            lines += ["roulette =", *(f"    {one}" for one in roulette)]
        if faults:
            lines += ["faults =", *(f"    {one}" for one in faults)]
        return "\n".join(lines)

    # ---- the file

    def _vaurien(self) -> dict[str, Line]:
        if "vaurien" not in self.sections.options and not self.findings:
            message = "there is no [vaurien] section: this is no file of Vaurien"
            self.findings.append(ConfigError(message, path=self.path, line=1))
        given: dict[str, Line] = {}
        for name, line in self.sections.options.get("vaurien", {}).items():
            given[OLD.get(name.replace("-", "_"), name.replace("-", "_"))] = line
        return given

    def _check_sections(self) -> None:
        allowed = ("vaurien", "behavior:NAME", "protocol:NAME", "statsd")
        for name, begin in self.sections.begins.items():
            kind, _, what = name.partition(":")
            if name == "vaurien":
                self._vaurien_options()
            elif name == "statsd":
                self._options(name, dict.fromkeys(STATSD, ""))
                self._note(begin, "[statsd]: measurements are at /metrics of the control port")
            elif kind == "protocol" and what:
                self._protocol_options(name, what)
            elif kind not in ("behavior", "handler") or not what:
                if name == "DEFAULT":
                    continue
                near = did_you_mean(name, ("vaurien", "statsd"))
                message = (
                    f"[{name}] is no section of Vaurien; sections: {', '.join(allowed)}.{near}"
                )
                self._find(begin, message.rstrip("."), allowed)

    def _vaurien_options(self) -> None:
        for name, line in self.given.items():
            if name in WITHOUT_MEANING:
                self._note(line, f"{line.name}: {WITHOUT_MEANING[name]}")
            elif name not in KNOWN:
                self._unknown(line, (*KNOWN, *WITHOUT_MEANING))

    def _protocol_options(self, section: str, name: str) -> None:
        lines = self.sections.options[section]
        if "callable" in lines:
            self._find(
                lines["callable"],
                f"'{name}' is a protocol in Python: Rascal's are written otherwise "
                "(entry point rascal.protocols)",
            )
        elif name not in PROTOCOLS:
            self._find(
                self.sections.begins[section],
                f"'{name}' is no protocol of Vaurien; protocols: {', '.join(PROTOCOLS)}"
                f".{did_you_mean(name, PROTOCOLS)}".rstrip("."),
                tuple(PROTOCOLS),
            )
        else:
            self._options(section, PROTOCOL_OPTIONS)

    def _options(self, section: str, known: Mapping[str, str]) -> None:
        """Options that have nothing to say here; others are not known at all."""
        for name, line in self.sections.options[section].items():
            if name not in known:
                self._unknown(line, tuple(known))
            elif known[name]:
                self._note(line, f"{name}: {known[name]}")

    # ---- the proxy

    def _text(self, name: str) -> str:
        line = self.given.get(name)
        return DEFAULTS[name] if line is None else expanded(line.text, self.environ)

    def _protocol(self) -> str:
        line, name = self.given.get("protocol"), self._text("protocol")
        if name not in PROTOCOLS:
            message = f"'{name}' is no protocol of Vaurien; protocols: {', '.join(PROTOCOLS)}"
            near = did_you_mean(name, PROTOCOLS)
            self._find(line, f"{message}.{near}".rstrip("."), tuple(PROTOCOLS))
            return "tcp"
        found = PROTOCOLS[name]
        if found not in self.protocols:
            self._note(line, f"{name}: its bytes are relayed (tcp); its messages are not known yet")
            return "tcp"
        return found

    def _address(self, name: str) -> str:
        """HOST:PORT as it is written; the environment's values are put in when it is loaded."""
        line = self.given.get(name)
        text = DEFAULTS[name] if line is None else line.text
        if not ADDRESS.fullmatch(text) or "\n" in text:
            self._find(line, f"'{text}' is no address: write HOST:PORT")
        return text

    def _upstream(self) -> str:
        text = self._address("backend")
        if not text.startswith("0.0.0.0:"):
            return text
        self._note(self.given.get("backend"), "0.0.0.0 is nowhere to connect to: 127.0.0.1")
        return text.replace("0.0.0.0", "127.0.0.1", 1)

    def _timeouts(self) -> list[str]:
        lines = []
        if (timeout := self.given.get("timeout")) is not None:
            seconds = self._number(timeout, Fraction(1, 1000), 600)
            lines.append(f"connect_timeout = {quantity_text('duration', seconds)}")
            self._note(
                timeout,
                "timeout: for connecting alone; silent connections are not ended any more "
                f"(idle_kill {quantity_text('duration', seconds)} does that)",
            )
        if (backlog := self.given.get("backlog")) is not None:
            lines.append(f"backlog = {int(self._number(backlog, 1, LONGEST_BACKLOG))}")
        return lines

    # ---- what goes wrong

    def _faults(self, protocol: str) -> tuple[list[str], list[str]]:
        """The lines of the roulette, and those of the faults with draws of their own."""
        line = self.given.get("behavior")
        shares = self._shares(line)
        behaviours = self._behaviours()
        found = [
            sentence
            for name, share in shares.items()
            if name in behaviours
            for sentence in behaviours[name].sentences(
                share, protocol, self._protocol_flag("tcp", "keep_alive", False)
            )
        ]
        for name in shares:
            if name in behaviours:
                for text in behaviours[name].notes(protocol, self.protocols[protocol].messages):
                    self._note(line, f"{name}: {text}")
        together = [one for one in found if not one.alone]
        apart = [one for one in found if one.alone]
        if len(together) == 1 and not apart:
            return [], [together[0].own]
        if apart and len(shares.keys() - {"dummy"}) > 1:
            names = ", ".join(sorted({one.behaviour for one in apart}))
            self._note(
                line, f"{names}: with a draw of its own, so that it may strike beside the others"
            )
        if together and self.protocols[protocol].messages is False:
            self._note(line, SHARED)
        return [one.text for one in together], [one.own for one in apart]

    def _shares(self, line: Line | None) -> dict[str, int]:
        """Behaviours and their percentages, as they are written."""
        text = self._text("behavior")
        known = (*BEHAVIORS, *self._own())
        shares: dict[str, int] = {}
        for part in filter(str.strip, re.split(r"[,\n]", text)):
            percent, colon, name = (one.strip() for one in part.partition(":"))
            if not colon or not percent.isascii() or not percent.isdigit():
                self._find(line, f"'{part.strip()}' is no share: write PERCENT:NAME (20:delay)")
            elif name in shares:
                self._find(line, f"'{name}' has two shares: add them up")
            elif name not in known:
                message = f"'{name}' is no behavior of Vaurien; behaviors: {', '.join(BEHAVIORS)}"
                near = did_you_mean(name, BEHAVIORS)
                self._find(line, f"{message}.{near}".rstrip("."), tuple(BEHAVIORS))
            else:
                shares[name] = int(percent)
        if not text.strip():
            self._find(line, "nothing is named: write PERCENT:NAME (20:delay)")
        total = sum(shares.values())
        if total > 100:
            self._find(line, f"the shares add up to {total}%: at most 100%")
        return {name: share for name, share in shares.items() if share}

    def _own(self) -> tuple[str, ...]:
        """The names of behaviours that have a section."""
        parts = (name.partition(":") for name in self.sections.options)
        return tuple(what for kind, _, what in parts if kind in ("behavior", "handler"))

    def _behaviours(self) -> dict[str, Behaviour]:
        """All behaviours, with their options."""
        found = {name: make({}) for name, make in BEHAVIORS.items()}
        for section, lines in self.sections.options.items():
            kind, _, name = section.partition(":")
            if kind not in ("behavior", "handler") or not name:
                continue
            if "callable" in lines:
                self._find(
                    lines["callable"],
                    f"'{name}' is a behavior in Python: Rascal's kinds are written otherwise "
                    "(entry point rascal.faults)",
                )
            elif name not in BEHAVIORS:
                message = f"'{name}' is no behavior of Vaurien; behaviors: {', '.join(BEHAVIORS)}"
                near = did_you_mean(name, BEHAVIORS)
                self._find(self.sections.begins[section], f"{message}.{near}".rstrip("."))
            else:
                found[name] = BEHAVIORS[name](self._values(name, lines))
        return found

    def _values(self, behaviour: str, lines: Mapping[str, Line]) -> dict[str, Any]:
        known = options_of(behaviour)
        values: dict[str, Any] = {}
        for name, line in lines.items():
            type_ = known.get(name.replace("-", "_"))
            if type_ is None:
                self._unknown(line, tuple(known))
            elif type_ is bool:
                values[name] = self._flag(line)
            elif type_ is int:
                values[name] = int(self._number(line, 0, 10**9))
            else:
                values[name] = self._number(line, 0, 86_400)
        return values

    def _protocol_flag(self, protocol: str, name: str, default: bool) -> bool:
        line = self.sections.options.get(f"protocol:{protocol}", {}).get(name)
        return default if line is None else self._flag(line)

    # ---- values

    def _number(self, line: Line, least: Fraction | int, most: int) -> Fraction:
        text = expanded(line.text, self.environ)
        try:
            found = Fraction(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", text) else None
        except ValueError:
            found = None
        if found is None:
            self._find(line, f"'{text}' is no number")
        elif not least <= found <= most:
            self._find(line, f"{line.name} is from {float(least):g} to {most}, found {text}")
        return Fraction(least) if found is None else found

    def _flag(self, line: Line) -> bool:
        text = expanded(line.text, self.environ).lower()
        if text in ("y", "yes", "1", "on", "true"):
            return True
        if text not in ("n", "no", "0", "off", "false"):
            self._find(line, f"'{line.text}' is neither yes nor no")
        return False

    # ---- findings

    def _unknown(self, line: Line, known: tuple[str, ...]) -> None:
        options = f"options: {', '.join(known)}" if known else "it has none"
        near = did_you_mean(line.name, known)
        message = f"[{line.section}] has no option '{line.name}'; {options}.{near}"
        self._find(line, message.rstrip("."), known)

    def _find(self, line: Line | None, message: str, allowed: tuple[str, ...] = ()) -> None:
        where = line or Line(self.path, 1, "vaurien", "", "")
        found = where.error(message, allowed)
        here = [one for one in self.findings if (one.path, one.line) == (found.path, found.line)]
        if not any(one.message == message or one.code == MISSING for one in here):
            self.findings.append(found)

    def _note(self, line: Line | None, text: str) -> None:
        where = (line.path, line.line) if line is not None else (self.path, 1)
        note = Note(*where, text)
        if note not in self.notes:
            self.notes.append(note)


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
