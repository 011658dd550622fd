"""Servers as words, without Docker: db=mysql://10.0.0.5:3306, cache=memcached://10.0.0.6, h:6379.

A proxy listens on this machine, on the server's port and one (or ten thousand, below 1024), and the
application is pointed at it by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import attrs

from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.wrapping.inifile import section
from rascal.wrapping.known import HTTP_PORTS, PORTS, SCHEMES, SECURE
from rascal.wrapping.plans import CONTROL
from rascal.wrapping.recognising import TITLES, spoken_here

HOME = "127.0.0.1"
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)
_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[\w.-]*\w)?)"
_WORD = re.compile(
    rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9.-]*)(?:\+[\w.+-]+)?://)?(?P<user>[^@/\s]*@)?"
    rf"{_HOST}(?::(?P<port>\d+))?(?P<path>[/?].*)?",
    re.ASCII,
)
FORMS = "write NAME=PROTOCOL://HOST:PORT, such as db=mysql://10.0.0.5:3306, or HOST:PORT"


@attrs.frozen(kw_only=True)
class Server:
    """One server and the proxy before it."""

    name: str
    scheme: str
    """As the user wrote it; "" for none."""
    spoken: str
    protocol: str
    host: str
    port: int
    listen: int
    tls: bool = False
    """Whether the server speaks TLS from the first byte on."""

    @property
    def upstream(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def instead(self) -> str:
        """Where the application connects to today."""
        return f"{self.scheme}://{self.upstream}" if self.scheme else self.upstream

    @property
    def here(self) -> str:
        """Where it is to connect to from now on: in plain text."""
        place = f"{HOME}:{self.listen}"
        if not self.scheme:
            return place
        scheme = self.scheme.removesuffix("s") if self.tls else self.scheme
        return f"{scheme}://{place}"


def is_server(word: str) -> bool:
    """Whether a word names a server and not a file."""
    if "://" in word or re.fullmatch(rf"{_HOST}:\d+", word, re.ASCII):
        return True
    return "=" in word


def servers_of(
    words: Sequence[str], protocols: Mapping[str, object], control: int = CONTROL
) -> list[Server]:
    """What the words name. Raises ConfigErrors: all that is wrong."""
    findings: list[ConfigError] = []
    found: list[Server] = []
    for word in words:
        try:
            found.append(_server(word, protocols, {one.name for one in found}))
        except ConfigError as error:
            findings.append(error)
    if findings:
        raise ConfigErrors(findings)
    taken = {control} | {one.port for one in found if _is_home(one.host)}
    for index, one in enumerate(found):
        listen = _free(one.port, taken)
        taken.add(listen)
        found[index] = attrs.evolve(one, listen=listen)
    return found


def _server(word: str, protocols: Mapping[str, object], names: Iterable[str]) -> Server:
    name, equals, rest = word.partition("=")
    if not equals or "/" in name or ":" in name:
        name, rest = "", word
    elif not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for a proxy: letters, digits, '_', '-' and '.', at most 64"
        )
    parts = _WORD.fullmatch(rest)
    if not parts:
        raise ConfigError(f"'{word}' is no server: {FORMS}")
    scheme = (parts["scheme"] or "").lower()
    known = {**SCHEMES, **{one: (one, 0) for one in protocols if one not in SCHEMES}}
    if scheme and scheme not in known:
        raise ConfigError(
            f"'{word}': the protocol '{scheme}' is not known; any other server is tcp://HOST:PORT."
            + did_you_mean(scheme, known)
        )
    spoken, usual = known.get(scheme, ("", 0))
    port = int(parts["port"] or usual)
    if not port:
        raise ConfigError(f"'{word}' has no port: {FORMS}")
    if port > 65535:
        raise ConfigError(f"'{word}': a port is at most 65535")
    spoken = spoken or PORTS.get(port) or ("http" if port in HTTP_PORTS else "tcp")
    if scheme in ("amqps", "smtps"):
        spoken = scheme.removesuffix("s")
    if name in names:
        raise ConfigError(f"'{word}': the name '{name}' is taken: give each server its own")
    return Server(
        name=name or _unused(spoken, names),
        scheme=scheme,
        spoken=spoken,
        protocol=spoken_here(spoken, protocols),
        host=parts["host"],
        port=port,
        listen=port,
        tls=scheme in SECURE,
    )


def _unused(name: str, names: Iterable[str]) -> str:
    found, number = name, 2
    while found in names:
        found, number = f"{name}-{number}", number + 1
    return found


def _is_home(host: str) -> bool:
    return host in ("localhost", "[::1]") or host.startswith("127.")


def _free(port: int, taken: set[int]) -> int:
    """A port for the proxy before a server on this one."""
    found = port + 10_000 if port < 1024 else port + 1
    while found in taken or found > 65535:
        found = found + 1 if found < 65535 else 1025
    return found


def words_ini(servers: Sequence[Server], control: int) -> str:
    """proxies.ini for them."""
    first = servers[0]
    lines = [
        "# Proxies on this machine. Written by `rascal wrap`; from now on it is yours.",
        "#",
        "# twistd -n --pidfile= rascal-proxy --config proxies.ini",
        f"# rascal add {first.name} delay 2s for 30s",
        "",
        "[rascal]",
        f"control = {HOME}:{control}",
    ]
    for one in servers:
        remarks = [f"# instead of {one.instead}: {one.here}"]
        if one.spoken != one.protocol:
            remarks.append(f"# {TITLES.get(one.spoken, one.spoken)} is carried as {one.protocol}")
        options = ["tls = originate"] if one.tls else []
        lines += section(
            one.name, one.protocol, f"{HOME}:{one.listen}", one.upstream, remarks, options
        )
    return "\n".join(lines) + "\n"
