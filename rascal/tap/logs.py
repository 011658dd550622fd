"""The log as JSON, one object a line, for those who gather logs: `[rascal] log = json`.

    {"time": "2026-07-01T12:00:00.123456Z", "level": "info", "namespace": "rascal.proxy.gate",
     "event": "db: upstream refused: …", "fields": {"proxy": "db", "reason": "upstream refused: …"}}

`event` is the text that the plain log would show, `fields` are the values in it; with an exception
there is `failure`, its traceback. The line goes where twistd (or twist) would have written.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from twisted.logger import FileLogObserver, LogEvent, formatEvent
from twisted.python import usage
from twisted.python.logfile import LogFile

TEXT = 16 * 1024
"""Characters of an event's text and of a traceback."""
FIELD = 1024
"""Characters of one field."""
FIELDS = 30

_LEGACY = frozenset(("format", "isError", "message", "system", "time", "failure", "why"))
"""Keys of events of twisted.python.log; their text says it all."""


def line(event: LogEvent) -> str | None:
    """One event, with its line end."""
    level = event.get("log_level")
    when = datetime.fromtimestamp(event.get("log_time") or 0.0, UTC)
    found: dict[str, Any] = {
        "time": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "level": "info" if level is None else level.name,
        "namespace": str(event.get("log_namespace", "")),
        "event": formatEvent(event)[:TEXT],
    }
    fields = _fields(event)
    if fields:
        found["fields"] = fields
    failure = event.get("log_failure")
    if failure is not None:
        found["failure"] = _traceback(failure)
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def _fields(event: LogEvent) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.items():
        if name.startswith("log_") or name in _LEGACY:
            continue
        if len(found) == FIELDS:
            break
        found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and abs(value) < float("inf"):  # no nan, no inf
        return value
    try:
        text = str(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= FIELD else f"{text[: FIELD - 1]}…"


def _traceback(failure: Any) -> str:
    try:
        return str(failure.getTraceback())[-TEXT:]
    except Exception:
        return "a traceback that cannot be shown"


def observer(file: Any) -> FileLogObserver:
    """Writes JSON to a file of text or of bytes."""
    return FileLogObserver(file, line)


def use_json(parent: Any) -> None:
    """Make the command that runs the service log JSON. Raises usage.UsageError.

    Args:
        parent: the options of twistd or twist; those of others are left alone.
    """
    if hasattr(parent, "selectDefaultLogObserver"):  # twist
        parent["fileLogObserverFactory"] = observer
    elif isinstance(parent, Mapping):
        if parent.get("syslog"):
            raise usage.UsageError("log = json goes to a file or to standard output, not to syslog")
        if not parent.get("logger"):
            _twistd.update(parent)
            parent["logger"] = f"{__name__}.twistd_observer"  # type: ignore[index]


_twistd: dict[str, Any] = {}
"""The options of twistd, which takes the name of a function without arguments (--logger)."""


def twistd_observer() -> FileLogObserver:
    """The observer that twistd begins with."""
    return observer(_file(_twistd))


def _file(options: Mapping[str, Any]) -> Any:
    """Where twistd would log (twisted.scripts._twistd_unix.UnixAppLogger); SIGUSR1 rotates."""
    name = options.get("logfile")
    if name == "-" and not options.get("nodaemon"):
        raise SystemExit("Daemons cannot log to stdout, exiting!")
    if name == "-" or (not name and options.get("nodaemon")):
        return sys.stdout
    file = LogFile.fromFullPath(name or "twistd.log")
    if hasattr(signal, "SIGUSR1") and not signal.getsignal(signal.SIGUSR1):

        def rotate(number: int, frame: FrameType | None) -> None:
            from twisted.internet import reactor

            reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

        signal.signal(signal.SIGUSR1, rotate)
    return file
