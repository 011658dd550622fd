"""Vaurien's behaviours: the sentences that mean the same, and what is better about them.

A behaviour has a share of all exchanges. Most become a choice of the proxy's roulette; what
counts (the first N, after the first N) needs a draw of its own, and stands apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import attrs

from rascal.units import quantity_text

SHARED = "on tcp one draw is made for each connection: it has no messages; name its protocol"

CODES = (500, 501, 502, 503)
"""What the behaviour `error` answers over HTTP, one of them at random."""

ERRORS = {"mysql": "1105", "redis": "ERR", "memcached": "SERVER_ERROR", "smtp": "451"}
"""The error without a particular meaning, by protocol."""

WORDING = {"ERR": 'ERR, text="injected"', "SERVER_ERROR": 'SERVER_ERROR, text="injected"'}


@attrs.frozen
class Sentence:
    """A fault to be written.

    Attributes:
        behaviour: where it comes from.
        share: percent.
        fault: kind, options and clauses.
        alone: it cannot be a choice of a roulette.
    """

    behaviour: str
    share: Fraction
    fault: str
    alone: bool = False

    @property
    def text(self) -> str:
        """As a roulette has it."""
        return f"{quantity_text('percentage', self.share / 100)} {self.fault}"

    @property
    def own(self) -> str:
        """As a fault with a draw of its own, which needs none if it strikes always."""
        return self.fault if self.share == 100 else self.text


class Behaviour:
    """One behaviour with its options; subclasses say what it is here."""

    name: ClassVar[str]
    options: ClassVar[Mapping[str, type]] = {}

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def sentences(self, share: int, protocol: str, keeps_alive: bool) -> list[Sentence]:
        """What does the same on `protocol`.

        Args:
            share: percent of the exchanges.
            protocol: ours.
            keeps_alive: on tcp: several requests come on one connection.
        """
        fault = self.fault(protocol, keeps_alive)
        return [Sentence(self.name, Fraction(share), fault)] if fault else []

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        """The sentence without its share; nothing if it does nothing."""
        raise NotImplementedError

    def notes(self, protocol: str, messages: bool) -> list[str]:
        """What is different now."""
        return []


class Dummy(Behaviour):
    """Nothing is done."""

    name = "dummy"

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        return ""


class Delay(Behaviour):
    """The backend is called late, or its reply is."""

    name = "delay"
    options: ClassVar[Mapping[str, type]] = {"sleep": float, "before": bool}

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        sleep = Fraction(self.given.get("sleep", 1))
        if not sleep:
            return ""
        text = f"delay({quantity_text('duration', sleep)})"
        before = self.given.get("before", True)
        if protocol != "tcp":
            return text if before else f"{text} at reply"
        if keeps_alive:
            return text
        return f"{text} direction {'to_upstream' if before else 'to_client'}"

    def notes(self, protocol: str, messages: bool) -> list[str]:
        found = []
        if not self.given.get("before", True):
            found.append("the reply itself is late; Vaurien slept when it had been passed on")
        if messages:
            found.append("one wait for each exchange, whatever pieces it is read in")
        return found


class Hang(Behaviour):
    """The request is taken, and nothing happens."""

    name = "hang"

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        return "hang"

    def notes(self, protocol: str, messages: bool) -> list[str]:
        return ["what hangs goes on when the fault is removed"]


class Blackout(Behaviour):
    """The client's socket is closed at once, its request unread: the kernel sends RST."""

    name = "blackout"

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        return "reset"

    def notes(self, protocol: str, messages: bool) -> list[str]:
        return [
            "reset: what a client sees if its socket is closed with the request unread; write "
            "close for an orderly end"
        ]


class Abort(Behaviour):
    """The connection ends when the request has been passed on, before the reply."""

    name = "abort"

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        return (
            "close(after=0B) direction to_client" if protocol == "tcp" else "lose_reply(then=close)"
        )

    def notes(self, protocol: str, messages: bool) -> list[str]:
        return ["the backend has done the work when the connection ends; that is certain now"]


class Error(Behaviour):
    """Errors, as far as Vaurien knows the protocol; else random bytes."""

    name = "error"
    options: ClassVar[Mapping[str, type]] = {"inject": bool, "warmup": int}

    def sentences(self, share: int, protocol: str, keeps_alive: bool) -> list[Sentence]:
        clauses = self.clauses()
        if protocol == "http" and not clauses:
            part = Fraction(share, len(CODES))
            return [Sentence(self.name, part, f"error({code}, close=yes)") for code in CODES]
        fault = self.fault(protocol, keeps_alive)
        alone = bool(clauses) or (self._inject(protocol) and protocol != "tcp")
        return [Sentence(self.name, Fraction(share), fault + clauses, alone)]

    def clauses(self) -> str:
        """What it counts."""
        warmup = self.given.get("warmup", 0)
        return f" skip {warmup}" if warmup else ""

    def fault(self, protocol: str, keeps_alive: bool) -> str:
        if protocol == "http":
            return "error(503, close=yes)"
        if self._inject(protocol):
            return "corrupt(gap=64B) direction to_client"
        if protocol == "tcp":
            return "corrupt(100%) direction to_client"
        error = ERRORS[protocol]
        return f"error({WORDING.get(error, error)}) at reply"

    def notes(self, protocol: str, messages: bool) -> list[str]:
        found = self._notes(protocol, messages)
        if self.given.get("warmup", 0):
            found.append("warmup counts all exchanges, not only those that it is drawn for")
        return found

    def _notes(self, protocol: str, messages: bool) -> list[str]:
        if protocol == "http":
            if self.clauses():
                return ["always 503, so that it can be counted; with a body that says so"]
            return ["a whole reply with its Content-Length; 500, 501, 502 and 503 by equal shares"]
        if self._inject(protocol):
            found = ["bytes of the replies are changed, none is added: every 64th"]
            if messages:
                found.append("it strikes connections, by its share of them")
            return found
        if not messages:
            return ["every byte of the replies is another; name the protocol for its real errors"]
        return ["an error that a real server sends, and that clients understand, not random bytes"]

    def _inject(self, protocol: str) -> bool:
        return protocol != "http" and bool(self.given.get("inject", False))


class Transient(Error):
    """Errors for the first calls, then none."""

    name = "transient"
    options: ClassVar[Mapping[str, type]] = {**Error.options, "agitate": int}

    def clauses(self) -> str:
        """So many, after so many."""
        return f"{super().clauses()} count {self.given.get('agitate', 1)}"

    def sentences(self, share: int, protocol: str, keeps_alive: bool) -> list[Sentence]:
        return (
            super().sentences(share, protocol, keeps_alive) if self.given.get("agitate", 1) else []
        )


BEHAVIORS: dict[str, type[Behaviour]] = {
    one.name: one for one in (Dummy, Delay, Hang, Blackout, Error, Transient, Abort)
}
"""By name, in the order of Vaurien's documentation."""


def options_of(name: str) -> Mapping[str, type]:
    """The options of a behaviour and their types."""
    return BEHAVIORS[name].options
