"""What the compatible API refuses: status and text, as Toxiproxy's clients expect them.

A body is `{"error": TEXT, "status": CODE}` and a line end, served as text/plain (clients parse it
all the same); /populate says application/json.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rascal.config.toxics import ToxiproxyError
from rascal.errors import ConfigError, ConfigErrors, ControlError, RascalError

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

_LISTEN = re.compile(r"cannot listen on (\S+?)(?:: (.*))?$")


def no_proxy() -> ToxiproxyError:
    """404."""
    return ToxiproxyError(404, "proxy not found")


def no_toxic() -> ToxiproxyError:
    """404."""
    return ToxiproxyError(404, "toxic not found")


def proxy_exists() -> ToxiproxyError:
    """409."""
    return ToxiproxyError(409, "proxy already exists")


def toxic_exists() -> ToxiproxyError:
    """409."""
    return ToxiproxyError(409, "toxic already exists")


def browser() -> ToxiproxyError:
    """403: pages of any site can reach a port of this machine."""
    return ToxiproxyError(403, "User agent not allowed")


def from_error(error: RascalError) -> ToxiproxyError:
    """What an error of the other parts is called here."""
    if isinstance(error, ToxiproxyError):
        return error
    if isinstance(error, ConfigErrors) and error.findings:
        error = error.findings[0]
    if isinstance(error, ConfigError):
        found = _LISTEN.search(error.message)
        if found:
            why = found[2] or "not possible"
            return ToxiproxyError(500, f"listen tcp {found[1]}: bind: {why}")
        return ToxiproxyError(400, error.message)
    if isinstance(error, ControlError):
        return ToxiproxyError(error.status, error.title)
    return ToxiproxyError(409, str(error))  # panic


def body_of(error: ToxiproxyError, **more: Any) -> bytes:
    """The bytes of an answer."""
    text = dumps({"error": error.text, "status": error.status} | more)
    return text if more else text + b"\n"


def dumps(value: Any) -> bytes:
    """JSON without a line end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")
