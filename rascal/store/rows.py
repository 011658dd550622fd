"""What stands in columns of the run store: JSON, and how an agent was in a second.

Rows and histograms are packed by rascal.load.packing.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import attrs

from rascal.load.packing import pack, unpack
from rascal.load.types import Meters

_METERS = tuple(field.name for field in attrs.fields(Meters) if field.name != "lateness")

# ASCII only, so that texts of the outside which are no Unicode can be kept.
_dumps = json.JSONEncoder(separators=(",", ":"), default=str).encode


def dumps(value: Any) -> str:
    """JSON without blanks."""
    return _dumps(value)


def loads(text: str) -> Any:
    """What such JSON says."""
    return json.loads(text)


def pack_meters(meters: Meters) -> tuple[str, bytes]:
    """The state as JSON, and the histogram of lateness."""
    state = {name: getattr(meters, name) for name in _METERS}
    return _dumps(state), zlib.compress(pack(meters.lateness), 1)


def unpack_meters(state: str, lateness: bytes) -> Meters:
    """The meters of it."""
    found = {name: value for name, value in json.loads(state).items() if name in _METERS}
    found["unsound"] = tuple(found.get("unsound", ()))
    return Meters(**found, lateness=unpack(zlib.decompress(lateness))[0])
