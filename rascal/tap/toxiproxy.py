"""`rascal-toxiproxy`: the same flags as the Toxiproxy server, one dash or two.

    rascal-toxiproxy -host 0.0.0.0 -port 8474 -config toxiproxy.json -seed 7 -proxy-metrics

It is `twistd -n --pidfile= rascal-proxy --toxiproxy` under another name. Its log is a line of JSON
for each event, from LOG_LEVEL (info) on; metrics are always there, so their flags say nothing new.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rascal.errors import did_you_mean

VALUED = ("host", "port", "config", "seed")
FLAGS = ("proxy-metrics", "runtime-metrics", "version", "help", "h")

USAGE = """\
Usage: rascal-toxiproxy [flags]          flags take one dash or two
  -host HOST           where the API listens (localhost)
  -port PORT           its port (8474)
  -config FILE         proxies to begin with, as JSON
  -seed NUMBER         the seed of all draws: toxicity, jitter, sizes of slices
  -proxy-metrics       accepted; metrics of proxies are always at /metrics
  -runtime-metrics     accepted; metrics of the process are always at /metrics
  -version             print the version and leave

LOG_LEVEL in the environment: panic, fatal, error, warn, info, debug, trace, disabled."""

LEVELS = {
    "panic": "critical",
    "fatal": "critical",
    "error": "error",
    "warn": "warn",
    "info": "info",
    "debug": "debug",
    "trace": "debug",
    "disabled": None,
}
"""What LOG_LEVEL may be, and what it is called in Twisted's log."""

NAMES = {"critical": "fatal"}


class UsageError(Exception):
    """The flags cannot be meant; one line."""


def read_flags(arguments: Sequence[str]) -> dict[str, str]:
    """The flags as Go reads them: -name value, -name=value, with one dash or two."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or word.startswith("---") or not name:
            raise UsageError(f"'{word}' is no flag")
        if name in FLAGS:
            on = value.lower() in ("", "1", "t", "true")
            if not on and value.lower() not in ("0", "f", "false"):
                raise UsageError(f"-{name} is true or false, found '{value}'")
            if on:
                found[name] = value
        elif name not in VALUED:
            near = did_you_mean(name, (*VALUED, *FLAGS))
            raise UsageError(f"there is no flag -{name}.{near}".rstrip("."))
        elif equals:
            found[name] = value
        elif rest:
            found[name] = rest.pop(0)
        else:
            raise UsageError(f"-{name} needs a value")
    return found


def twistd_arguments(flags: dict[str, str]) -> list[str]:
    """What twistd is told."""
    found = ["twistd", "-n", "--pidfile=", "--logger", f"{__name__}.json_lines"]
    found += ["rascal-proxy", "--toxiproxy"]
    for name in VALUED:
        if flags.get(name):
            found += [f"--{name}", flags[name] if name != "seed" else _seed(flags[name])]
    return found


def _seed(text: str) -> str:
    """Any whole number, as Go takes it; ours are from 0 and have at most 15 digits."""
    try:
        return str(int(text) % 10**15)
    except ValueError:
        return text


def json_lines() -> Any:
    """A log observer that writes JSON lines to the standard output (for twistd --logger)."""
    from twisted.logger import FilteringLogObserver, LogLevel, LogLevelFilterPredicate

    wanted = os.environ.get("LOG_LEVEL", "info").strip().lower()
    name = LEVELS.get(wanted, "info")
    if name is None:
        return lambda event: None
    level = LogLevel.levelWithName(name)
    observer: Any = _write
    return FilteringLogObserver(observer, [LogLevelFilterPredicate(level)])


def _write(event: Any) -> None:
    from twisted.logger import formatEvent

    level = event.get("log_level")
    name = level.name if level is not None else "info"
    line = {
        "level": NAMES.get(name, name),
        "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(),
        "caller": event.get("log_namespace", ""),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if failure is not None:
        line["error"] = failure.getTraceback()
    # Not sys.stdout: twistd makes what is printed there an event of the log.
    print(json.dumps(line, default=str), file=sys.__stdout__, flush=True)


def main() -> None:
    """The console script."""
    try:
        flags = read_flags(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"rascal-toxiproxy: {error}\n\n{USAGE}")
    if "help" in flags or "h" in flags:
        print(USAGE)
        return
    if "version" in flags:
        from rascal import __version__

        print(f"rascal-toxiproxy version {__version__}")
        return
    sys.argv = twistd_arguments(flags)
    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
