"""Option tables as JSON Schema (2020-12), for forms and for editors.

A quantity is a string with its unit, so JSON Schema can only say its shape; `x-type` names the
language's type, `x-minimum` and `x-maximum` are its bounds as texts.
"""

from __future__ import annotations

from typing import Any

from rascal.options import Option, OptionTable
from rascal.units import UNITS, plain_text

_WHOLE = {"count": 0, "positive": 1}
_NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"


def schema(table: OptionTable, title: str) -> dict[str, Any]:
    """The schema of an object that holds a table's options."""
    found: dict[str, Any] = {
        "type": "object",
        "title": title,
        "properties": {name: option_schema(option) for name, option in table.items()},
        "additionalProperties": False,
    }
    required = [name for name, option in table.items() if option.required]
    if required:
        found["required"] = required
    if table.spoken is not None:
        found["x-spoken"] = table.spoken
    return found


def option_schema(option: Option) -> dict[str, Any]:
    """The schema of one option's value."""
    found: dict[str, Any] = {"description": option.help, "x-type": option.type}
    if isinstance(option.type, tuple):
        found |= {"type": "string", "enum": list(option.type), "x-type": "choice"}
    elif option.type in _WHOLE:
        low = max(_WHOLE[option.type], int(option.minimum or 0))
        found |= {"type": "integer", "minimum": low}
        if option.maximum is not None:
            found["maximum"] = int(option.maximum)
    elif option.type == "flag":
        found["type"] = "boolean"
    elif option.type == "number":
        found["type"] = "number"
        found |= {"minimum": option.minimum} if option.minimum is not None else {}
        found |= {"maximum": option.maximum} if option.maximum is not None else {}
    else:
        found["type"] = "string"
        if option.type == "name":
            found["pattern"] = _NAME
        for name in ("minimum", "maximum"):
            bound = getattr(option, name)
            if bound is not None:
                found[f"x-{name}"] = _text(option, bound)
    if option.default is not None:
        found["default"] = _default(option)
    return found


def _default(option: Option) -> Any:
    if isinstance(option.default, bool | str) or option.type in (*_WHOLE, "number"):
        return option.default
    return _text(option, option.default)


def _text(option: Option, value: Any) -> str:
    type_ = "duration" if option.type == "distribution" else option.type
    shares = {"percentage", "probability"}
    if isinstance(type_, str) and (type_ in UNITS or type_ in shares) and value != float("inf"):
        return plain_text(type_, value)
    return str(value)
