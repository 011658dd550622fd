"""Secrets in plans, when they are shown or written for other programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(
    r"authorization|cookie|token|secret|passw|api[-_]?key|credential|signature", re.I
)
MASK = "(masked)"


def masked(value: Any) -> Any:
    """The same without what looks like a secret by its name."""
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(one, str) and _SECRET.search(str(key)) else masked(one)
            for key, one in value.items()
        }
    return [masked(one) for one in value] if isinstance(value, list | tuple) else value
