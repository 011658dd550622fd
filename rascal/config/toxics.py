"""Toxiproxy's toxics: read from JSON as its clients write it, and made into faults of ours.

    latency      delay, each read; FIN is not delayed      timeout     blackhole, FIN included
    bandwidth    throttle, KB = 1,000 bytes                reset_peer  reset(hold=…)
    slow_close   slow_close                                slicer      slice
    limit_data   limit                                     noop        noop

`toxicity` is the probability of a connection. What a toxic was said to be is kept beside the
fault, word for word, so that it is shown as it was sent. Whatever the reference accepts and then
crashes on is refused here; what it accepts beyond sense (a toxicity of 7, a negative delay) means
what it means there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Literal

import attrs

from rascal.config.registry import Registry
from rascal.config.specs import Installed
from rascal.errors import RascalError
from rascal.language import Draw, Phrase, Quantity, Range
from rascal.wire.types import WireProtocol

BODY = "bad request body"
STREAM = "stream was invalid, can be either upstream or downstream"
TYPE = "invalid toxic type"

TYPES: dict[str, tuple[str, ...]] = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
    "noop": (),
}
"""The types and their attributes, all whole numbers with 0 as their default."""

DIRECTIONS: dict[str, Literal["to_upstream", "to_client"]] = {
    "upstream": "to_upstream",
    "downstream": "to_client",
}

LONGEST = 2**63 // 10**6
"""Milliseconds of a time: more is no duration in the reference either."""

MOST = 10**15 - 1
"""Bytes, and bytes a second, that the language writes; more than these are as good as these."""

NAME = 200
"""Characters of a name."""

INT64 = 2**63


class ToxiproxyError(RascalError):
    """Something that Toxiproxy's API refuses, with its status and its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def bad(text: str) -> ToxiproxyError:
    """400 for what a body says."""
    return ToxiproxyError(400, f"{BODY}: {text}")


@attrs.frozen(kw_only=True)
class Toxic:
    """A toxic as it was sent; `attributes` has all of its type's."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, int]

    @property
    def upstream(self) -> bool:
        """Whether it is about the bytes that clients send."""
        return self.stream.lower() == "upstream"

    def json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "attributes": dict(self.attributes),
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": int(self.toxicity)
            if self.toxicity == int(self.toxicity)
            else self.toxicity,
        }


# ---- JSON as clients write it


def loads(data: bytes) -> Any:
    """Read a body. Raises ToxiproxyError (400)."""
    if not data.strip():
        raise bad("EOF")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_members,
            parse_float=_float,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise bad(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        end = error.pos >= len(error.doc.rstrip())
        where = f"line {error.lineno}, column {error.colno}"
        raise bad("unexpected EOF" if end else f"{where}: {error.msg.lower()}") from None
    except RecursionError:
        raise bad("it is nested too deeply") from None
    except ValueError:
        raise bad("a number has too many digits") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise bad(f"{shown(twice)} is given twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise bad(f"{text[:40]} is too large")
    return value


def _constant(text: str) -> Any:
    raise bad(f"JSON has no {text}")


def members(data: Any, what: str) -> dict[str, Any]:
    """An object with its names in lower case: they are read without regard to it. `null` is an
    empty one, as in the reference."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise bad(f"{what} is an object")
    found = {name.lower(): value for name, value in data.items()}
    if len(found) < len(data):
        raise bad(f"{what} has a member twice, in upper and lower case")
    return found


def text_of(data: Mapping[str, Any], name: str, default: str = "") -> str:
    """A member that is a text; null is the default."""
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise bad(f"{name} is a text, found {shown(value)}")
    return value


def flag_of(data: Mapping[str, Any], name: str, default: bool) -> bool:
    """A member that is a boolean; null is the default."""
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad(f"{name} is true or false, found {shown(value)}")
    return value


def check_name(name: str) -> None:
    """A name must be one that can be addressed. Raises ToxiproxyError (400)."""
    if len(name) > NAME:
        raise bad(f"name has at most {NAME} characters, found {len(name)}")
    if "/" in name or name in (".", ".."):
        raise bad(f"name {shown(name)} could not be addressed: leave the slashes out")
    if not name.isprintable() or name != name.strip():
        raise bad(f"name {shown(name)} has characters that cannot be addressed")


def shown(value: Any) -> str:
    """A value in a message."""
    text = json.dumps(value) if not isinstance(value, dict | list) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}…"


# ---- toxics


def read_toxic(data: Any) -> Toxic:
    """A new toxic. Raises ToxiproxyError."""
    given = members(data, "a toxic")
    name, type_ = text_of(given, "name"), text_of(given, "type")
    stream = text_of(given, "stream", "downstream")
    toxicity = _toxicity(given, 1.0)
    if stream.lower() not in DIRECTIONS:
        raise ToxiproxyError(400, STREAM)
    if type_ not in TYPES:
        raise ToxiproxyError(400, TYPE)
    name = name or f"{type_}_{stream}"
    check_name(name)
    attributes = _attributes(given, dict.fromkeys(TYPES[type_], 0))
    return _checked(
        Toxic(name=name, type=type_, stream=stream, toxicity=toxicity, attributes=attributes)
    )


def changed_toxic(old: Toxic, data: Any) -> Toxic:
    """A toxic with other attributes or another toxicity. Raises ToxiproxyError."""
    given = members(data, "a toxic")
    toxicity = _toxicity(given, old.toxicity)
    attributes = _attributes(given, old.attributes)
    return _checked(attrs.evolve(old, toxicity=toxicity, attributes=attributes))


def _toxicity(given: Mapping[str, Any], default: float) -> float:
    value = given.get("toxicity")
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(f"toxicity is a number, found {shown(value)}")
    if abs(value) > 1e300:
        raise bad(f"toxicity is a number from 0 to 1, found {shown(value)}")
    return value


def _attributes(given: Mapping[str, Any], before: Mapping[str, int]) -> dict[str, int]:
    attributes = members(given.get("attributes"), "attributes")
    return {name: _whole(attributes, name, value) for name, value in before.items()}


def _whole(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(f"{name} is a whole number, found {shown(value)}")
    if not -INT64 <= value < INT64:
        raise bad(f"{name} has more than 64 bits")
    return value


def _checked(toxic: Toxic) -> Toxic:
    """Refuse what cannot be carried out. Raises ToxiproxyError."""
    given = toxic.attributes
    for name in ("latency", "jitter", "timeout", "delay"):
        longest = LONGEST * 1000 if toxic.type == "slicer" else LONGEST
        if given.get(name, 0) > longest:
            raise bad(f"{name} is at most {longest}, found {given[name]}")
    if toxic.type == "bandwidth" and given["rate"] < 0:
        raise bad(f"rate is 0 (nothing passes) or more, found {given['rate']}")
    if toxic.type == "slicer":
        size, variation = given["average_size"], given["size_variation"]
        if size < 1:
            raise bad(f"average_size is at least 1: a piece has a byte; found {size}")
        if not 0 <= variation <= size:
            raise bad(f"size_variation is from 0 to average_size ({size}), found {variation}")
    return toxic


# ---- faults


def toxic_fault(
    toxic: Toxic, protocol: WireProtocol, registry: Registry, *, enabled: bool = True
) -> Installed:
    """The fault that a toxic is. Raises ToxiproxyError or ConfigError where the protocol cannot
    have it (datagrams have no ends)."""
    kind, options = _KINDS[toxic.type](toxic.attributes)
    clauses: list[tuple[str, Any]] = [("direction", DIRECTIONS[toxic.stream.lower()])]
    if toxic.toxicity < 1:
        share = Fraction(f"{max(0.0, toxic.toxicity):.9f}")
        clauses.append(("probability", Quantity("percentage", share)))
    if kind in ("delay", "reset"):
        clauses.append(("per", "connection"))
    tables = registry.kinds(protocol)
    if kind not in tables:
        raise bad(f"{toxic.type} is for proxies of streams; this one speaks {protocol.name}")
    phrase = Phrase(kind, options, tuple(clauses), spoken=tables[kind].spoken)
    spec = registry.fault(phrase, protocol, toxic.name)
    return Installed(
        form="fault",
        name=toxic.name,
        phrases=(phrase,),
        enabled=enabled,
        specs=(spec,),
        toxic=toxic,
    )


Options = tuple[tuple[str, Any], ...]


def _milliseconds(value: int) -> Quantity:
    return Quantity("duration", Fraction(max(0, value), 1000))


def _bytes(value: int) -> Quantity:
    return Quantity("size", Fraction(min(max(0, value), MOST)))


def _latency(given: Mapping[str, int]) -> tuple[str, Options]:
    latency, jitter = given["latency"], max(0, given["jitter"])
    low, high = latency - jitter, latency + jitter
    delay: Quantity | Range | Draw
    if not jitter or high <= 0:
        delay = _milliseconds(latency if not jitter else 0)
    elif low >= 0:
        delay = Range(_milliseconds(low), _milliseconds(high))
    else:  # a share of the draws is below 0 and is not delayed
        share = min(Fraction(-low, high - low) * 100, Fraction(999999, 10000))
        point = f"{float(share):.4f}".rstrip("0").rstrip(".")
        if float(point):
            none = (f"p{point}", _milliseconds(0))
            delay = Draw("percentiles", (none, ("max", _milliseconds(high))))
        else:
            delay = Range(_milliseconds(0), _milliseconds(high))
    return "delay", (("delay", delay), ("fin", False))


def _bandwidth(given: Mapping[str, int]) -> tuple[str, Options]:
    rate = min(given["rate"] * 1000, MOST)
    return "throttle", (("rate", Quantity("throughput", Fraction(rate))),)


def _slow_close(given: Mapping[str, int]) -> tuple[str, Options]:
    return "slow_close", (("delay", _milliseconds(given["delay"])),)


def _timeout(given: Mapping[str, int]) -> tuple[str, Options]:
    if given["timeout"] <= 0:
        return "blackhole", (("fin", False),)
    after = _milliseconds(given["timeout"])
    return "blackhole", (("close_after", after), ("idle", True), ("fin", False))


def _reset_peer(given: Mapping[str, int]) -> tuple[str, Options]:
    return "reset", (("hold", _milliseconds(given["timeout"])),)


def _slicer(given: Mapping[str, int]) -> tuple[str, Options]:
    size = given["average_size"]
    options: list[tuple[str, Any]] = [("size", _bytes(size))]
    if variation := min(given["size_variation"], size - 1):
        options.append(("vary", _bytes(variation)))
    if given["delay"] > 0:
        options.append(("delay", Quantity("duration", Fraction(given["delay"], 10**6))))
    return "slice", tuple(options)


def _limit_data(given: Mapping[str, int]) -> tuple[str, Options]:
    return "limit", (("bytes", _bytes(given["bytes"])),)


def _noop(given: Mapping[str, int]) -> tuple[str, Options]:
    return "noop", ()


_KINDS: dict[str, Callable[[Mapping[str, int]], tuple[str, Options]]] = {
    "latency": _latency,
    "bandwidth": _bandwidth,
    "slow_close": _slow_close,
    "timeout": _timeout,
    "reset_peer": _reset_peer,
    "slicer": _slicer,
    "limit_data": _limit_data,
    "noop": _noop,
}
"""What does to bytes what a type of toxics does, and its options in the language's values."""
