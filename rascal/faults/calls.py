"""Errors by name: the entry of the protocol's catalogue that a fault's options ask for."""

from __future__ import annotations

from typing import Any

from rascal.errors import ConfigError, did_you_mean, listed
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import Answer, ErrorCall, ErrorSpec, WireProtocol


def with_error_options(own: OptionTable, protocol: WireProtocol) -> OptionTable:
    """A kind's options and those that errors have on this protocol."""
    if not protocol.errors:
        return own
    more = (option for option in protocol.error_options.values() if option.name not in own)
    return OptionTable(*own.values(), *more)


def error_named(name: str, protocol: WireProtocol, option: str = "error") -> ErrorSpec:
    """The catalogue entry for a name or code. Raises ConfigError."""
    spec = protocol.error(name)
    if spec is not None:
        return spec
    if not protocol.errors:
        raise ConfigError(f"{protocol.name} has no errors", option=option, value=name)
    near = did_you_mean(name, protocol.errors)
    raise ConfigError(
        f"{protocol.name} has no error '{name}'; errors: "
        f"{listed(protocol.errors, f'rascal protocols {protocol.name}')}.{near}".rstrip("."),
        option=option,
        value=name,
        allowed=tuple(protocol.errors),
        code="unknown-name",
    )


def error_call(name: str, options: Options, protocol: WireProtocol) -> ErrorCall:
    """An error with what the user set beside it. Raises ConfigError."""
    spec = error_named(name, protocol)
    extra = {
        option: value
        for option in protocol.error_options
        if (value := getattr(options, option, None)) is not None
    }
    return ErrorCall(spec, getattr(options, "text", None), extra)


def says(call: ErrorCall) -> Any:
    """What makes the answer when it is due."""

    def make(subject: Any) -> Answer:
        answer: Answer = subject.protocol.answer(subject.session, subject.head, call)
        return answer

    return make


def error_option(help_: str) -> Option:
    """The option `error` of kinds that may answer with one."""
    return Option("error", "text", help_)


def connect_error(protocol: WireProtocol) -> ErrorSpec | None:
    """The error with which this protocol's servers turn a new connection away."""
    return next((spec for spec in protocol.errors.values() if "connect" in spec.moments), None)
