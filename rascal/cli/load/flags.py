"""The flags of `rascal load run`: the names of a load file with dashes, and what they say.

Words that are no flag of ours belong to the scenario file: `--catalogue-size 20` sets its option
`catalogue_size`. Such a flag takes one word, or what stands behind its '='; where no word
follows, it means yes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click

from rascal.cli.outputs import FLAGS as OUTPUTS
from rascal.errors import ConfigError, did_you_mean, listed

Decorated = Callable[..., Any]
SUMMARY = "-"
"""The value of --json without a file."""
FILES = {
    **OUTPUTS,
    "json": ("[FILE]", "The summary at the end and nothing else; FILE.json: all of it, into it."),
}

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Load": {
        "target": ("URL", "Base URL of what is to bear the load: http://127.0.0.1:8080"),
        "rate": ("RATE", "Arrivals a second, however slow the target is: 300/s, 0..300/s."),
        "users": ("N", "Instead: so many users, each of whom waits for replies (0..50 ramps)."),
        "for": ("TIME", "How long: 60s, 5m."),
        "profile": (
            "PROFILE",
            "Instead: 'ramp 0..200/s for 30s, hold 200/s for 5m'; NAME=PROFILE for one scenario.",
        ),
        "replay": ("FILE", "Instead: the arrivals of a log beside the scenario, seconds a line."),
        "spacing": ("poisson|even", "Of arrivals; poisson unless said otherwise."),
        "tag": ("TAG", "Only scenarios with this tag."),
        "seed": ("N", "Of arrivals, picks, data and think times (0)."),
        "option": ("NAME=VALUE", "An option of the scenario file; so does --NAME VALUE."),
        "header": ("'NAME: VALUE'", "Sent with every request."),
    },
    "Bounds": {
        "timeout": ("TIME", "Of a whole request (30s)."),
        "connect-timeout": ("TIME", "Of connecting (5s)."),
        "connections": (
            "shared|user|none",
            "A pool of all, of each user, or a new one each time.",
        ),
        "max-in-flight": ("N", "Users under way at most; what arrives beyond is dropped (10000)."),
        "max-time": ("TIME", "Hard end of the run (24h)."),
        "max-requests": ("N", "Hard end in requests."),
        "allow": ("HOST", "Allow load on this host or network off this machine."),
    },
    "Judge": {
        "objective": ("OBJECTIVE", "Must be kept: 'p95(checkout) < 300ms', 'failed < 1%'."),
        "stop": ("RULE", "End the run when it holds: 'failed > 50% for 10s'."),
    },
    "Agents": {
        "agents": ("N", "Send from N processes; with --redis from N agents that are there."),
        "redis": ("URL", "Where agents wait: redis://:password@host:6379/0, rediss://…"),
        "namespace": ("NAME", "Before the names of all keys there, as agents have it (rascal)."),
        "token-file": ("FILE", "Holds the token that coordinator and agents share."),
        "loss": ("redistribute|continue|abort", "If an agent is lost (redistribute)."),
        "dependency": ("REQUIREMENT", "Python requirement that agents install for the run."),
    },
    "Keep": {
        "name": ("NAME", "What the run is called in lists."),
        "label": ("LABEL", "For lists."),
        "store": ("FILE", "Where runs are kept; RASCAL_STORE, or the user's data folder."),
    },
    "Write at the end, and tell others meanwhile": {
        **FILES,
        "prometheus": ("HOST:PORT", "Serve the run's numbers at /metrics while it goes on."),
        "otlp": ("URL", "Send them each second to an OpenTelemetry collector (OTLP, JSON)."),
    },
}
"""Flags that take a value: their placeholder and their help."""

REPEATED = {
    "profile": "profile",
    "option": "options",
    "header": "headers",
    "allow": "allow",
    "objective": "objectives",
    "stop": "stop",
    "label": "labels",
    "dependency": "dependencies",
}
"""Flags that may be given several times, and the names of their lists in a load file."""

SWITCHES: dict[str, dict[str, str]] = {
    "Bounds": {
        "no-verify": "Do not check the target's TLS certificate.",
        "no-resend": "Report a request lost with a kept connection, do not send it again.",
    },
    "Keep": {"no-store": "Do not keep the run."},
    "Instead of a run, or with it": {
        "once": "One user, one iteration, printed request by request; no load.",
        "check-agents": "Each agent sends one request and says how it went; no load.",
        "detach": "Run in the background and print the id; see rascal load attach.",
        "quiet": "Nothing until the end.",
    },
}

PLAIN = (
    "target", "rate", "users", "for", "replay", "spacing", "seed", "timeout", "connect_timeout",
    "connections", "max_in_flight", "max_time", "max_requests", "loss", "name",
)  # fmt: skip
"""Flags whose value is that of the load file's name."""

OURS = tuple(
    f"--{name}"
    for tables in (list(SECTIONS.values()), list(SWITCHES.values()))
    for table in tables
    for name in table
)


def variable(flag: str) -> str:
    """The parameter's name of a flag: those that Python keeps for itself get a '_'."""
    name = flag.replace("-", "_")
    return f"{name}_" if name in ("for", "json") else name


def load_flags(function: Decorated) -> Decorated:
    """Add all of them."""
    for part in reversed(SWITCHES.values()):
        for flag, text in reversed(part.items()):
            function = click.option(f"--{flag}", variable(flag), is_flag=True, help=text)(function)
    for table in reversed(SECTIONS.values()):
        for flag, (metavar, text) in reversed(table.items()):
            text += " Repeatable." if flag in (*REPEATED, "tag") else ""
            more: dict[str, Any] = {"multiple": flag in (*REPEATED, "tag")}
            if flag == "json":
                more = {"is_flag": False, "flag_value": SUMMARY}
            function = click.option(
                f"--{flag}", variable(flag), metavar=metavar, help=text, **more
            )(function)
    return function


def values_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the flags say, by the names of a load file. Raises ConfigError."""
    values = {name: given[variable(name)] for name in PLAIN}
    for flag, name in REPEATED.items():
        values[name] = list(given[flag])
    values["options"] = pairs(given["option"], "=", "option", "catalogue_size=20")
    values["headers"] = pairs(given["header"], ":", "header", "'Accept: text/html'")
    for switch in ("verify", "resend"):
        values[switch] = "no" if given[f"no_{switch}"] else None
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def pairs(texts: Sequence[str], mark: str, flag: str, example: str) -> dict[str, str]:
    """NAME=VALUE, or NAME: VALUE. Raises ConfigError."""
    found = {}
    for text in texts:
        name, there, value = text.partition(mark)
        if not there or not name.strip():
            raise ConfigError(
                f"--{flag}: '{text}' is no NAME{mark}VALUE, such as {example}", value=text
            )
        found[name.strip()] = value.strip() if mark == ":" else value
    return found


def split(words: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """File, scenarios, and options of the scenario file. Raises ConfigError."""
    plain: list[str] = []
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        if not word.startswith("--"):
            raise ConfigError(f"there is no flag '{word}': see rascal load run --help", value=word)
        name, there, value = word[2:].partition("=")
        if not there:
            follows = bool(rest) and not rest[0].startswith("--")
            value = rest.pop(0) if follows else "yes"
        options[name.replace("-", "_")] = value
    if not plain:
        raise ConfigError(
            "which scenario? rascal load run FILE …; rascal load init writes one to begin with"
        )
    return plain[0], plain[1:], options


def check_options(given: Mapping[str, Any], known: Collection[str], file: str) -> None:
    """Refuse options that the scenario file has not; the mistake may be in a flag of ours."""
    for name in given:
        if name in known:
            continue
        flag = f"--{name.replace('_', '-')}"
        theirs = [f"--{one.replace('_', '-')}" for one in known]
        near = did_you_mean(flag, [*OURS, *theirs])
        there = f"; options of {file}: {listed(theirs)}" if theirs else f", and {file} has none"
        raise ConfigError(
            f"there is no flag {flag}{there}." + near, option=name, code="unknown-name"
        )


def json_apart(words: Sequence[str]) -> list[str]:
    """The words, with --json joined to the file behind it, if it is one, and to `-` if not.

    A scenario file, a scenario or another flag may stand behind it; so a word is taken for a file
    to be written if it ends in .json, or is a path that does not end like a scenario file.
    """
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--json":
            behind = rest[0] if rest else ""
            path = "/" in behind and not behind.startswith("-")
            path = path and not behind.endswith((".py", ".yml", ".yaml"))
            is_file = behind.endswith(".json") or path
            word = f"--json={rest.pop(0) if is_file or behind == SUMMARY else SUMMARY}"
        found.append(word)
    return found
