"""What an agent lets its operator set: the options of [agent], and of the command line."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import attrs

from rascal.config.section import read_section
from rascal.errors import ConfigError, ConfigErrors
from rascal.language import parse_option, plain
from rascal.load._redis import parse_place
from rascal.load.bundle import read_token
from rascal.load.places import Place
from rascal.load.targets import Targets
from rascal.options import Option, OptionTable

AGENT = OptionTable(
    Option("redis", "text", "the Redis that coordinator and agents share: redis://HOST:PORT/DB"),
    Option("name", "text", "what the agent is called; without it HOST-PID"),
    Option("namespace", "name", "before the names of all keys in Redis", default="rascal"),
    Option(
        "token_file",
        "text",
        "file of the token that coordinator and agents share; without it RASCAL_TOKEN",
    ),
    Option(
        "targets",
        "text",
        "hosts (shop.test, *.shop.test), addresses and networks, besides this machine, "
        "that load may be sent to",
    ),
    Option(
        "dependencies",
        "flag",
        "install what a run needs (pip) into folders of the agent's own",
        default=False,
    ),
    Option(
        "cache",
        "text",
        "folder for installed dependencies; without it rascal in the user's cache folder",
    ),
    Option(
        "max_in_flight",
        "positive",
        "iterations under way in this process at most, whatever a run asks for",
        default=10_000,
        maximum=1_000_000,
    ),
    Option(
        "orphan",
        "duration",
        "how long a run goes on while its coordinator is not heard; it is stopped then",
        default=60.0,
        minimum=1.0,
        maximum=86_400.0,
    ),
    Option(
        "log",
        ("text", "json"),
        "how the log is written: for people, or one JSON object a line",
        default="text",
    ),
)
"""The options of [agent]."""

SECTION = "agent"
ENVIRONMENT = ("redis", "token_file")
"""Options that the environment may set: RASCAL_REDIS, RASCAL_TOKEN_FILE."""


@attrs.frozen(kw_only=True)
class AgentOptions:
    """An agent's options, checked."""

    place: Place
    name: str
    token: str = attrs.field(default="", repr=False)
    namespace: str = "rascal"
    targets: tuple[str, ...] = ()
    dependencies: bool = False
    cache: str = ""
    max_in_flight: int = 10_000
    orphan: float = 60.0
    log: str = "text"


def agent_options(
    path: str | None, given: Mapping[str, str], environ: Mapping[str, str]
) -> AgentOptions:
    """Read and check. Command line before environment before file.

    Args:
        path: an INI file with a section [agent]; other sections are other services'.
        given: options of the command line, as written.

    Raises:
        ConfigErrors: everything that is wrong.
    """
    findings: list[ConfigError] = []
    values: dict[str, Any] = {}
    if path:
        values |= read_section(path, SECTION, AGENT, _value, environ, findings)
    for name in ENVIRONMENT:
        if text := environ.get(f"RASCAL_{name.upper()}"):
            values[name] = text
    for name, text in given.items():
        try:
            values[name] = _value(AGENT[name], text)
        except ConfigError as error:
            findings.append(ConfigError(f"--{name.replace('_', '-')}: {error.message}"))
    made = _checked(AGENT.plain(values), environ, findings)
    if findings or made is None:
        raise ConfigErrors(findings)
    return made


def _checked(
    options: Any, environ: Mapping[str, str], findings: list[ConfigError]
) -> AgentOptions | None:
    """All that is more than a value by itself."""
    place = Place()
    token = ""
    if options.redis:
        try:
            place = parse_place(options.redis, environ.get("RASCAL_REDIS_PASSWORD", ""))
        except ConfigError as error:
            findings.append(error)
    elif not findings:
        findings.append(ConfigError("no Redis is named: --redis redis://HOST, or redis in [agent]"))
    try:
        token = read_token(options.token_file, environ)
    except ConfigError as error:
        findings.append(error)
    else:
        if not token and not place.local and not findings:
            findings.append(
                ConfigError(
                    f"Redis at {place} is not on this machine: set RASCAL_TOKEN, or --token-file, "
                    "to what the coordinator has"
                )
            )
    targets = tuple((options.targets or "").replace(",", " ").split())
    try:
        Targets(targets)
    except ConfigErrors as errors:
        findings += [
            ConfigError(f"targets: {wrong.message}", option="targets") for wrong in errors.findings
        ]
    if findings:
        return None
    return AgentOptions(
        place=place,
        name=options.name or f"{socket.gethostname()}-{os.getpid()}",
        token=token,
        namespace=options.namespace,
        targets=targets,
        dependencies=options.dependencies,
        cache=options.cache or "",
        max_in_flight=options.max_in_flight,
        orphan=options.orphan,
        log=options.log,
    )


def _value(option: Option, text: str) -> Any:
    """The plain value of a text. Raises ConfigError."""
    if option.type == "text":
        if not text.strip():
            raise ConfigError(f"'{option.name}' is empty")
        return text.strip()
    return plain(parse_option(option, text))
