"""What a sentence has become: frozen specifications, ready to be installed on a proxy."""

from __future__ import annotations

from typing import Literal

import attrs

from rascal.faults.matching import Matcher
from rascal.faults.types import Direction, Kind, Level
from rascal.language import Phrase
from rascal.options import Options
from rascal.wire.types import Moment, WireProtocol

OnRemove = Literal["release", "close"]


@attrs.frozen(kw_only=True, eq=False)
class FaultSpec:
    """One fault of one proxy.

    Attributes:
        name: unique on its proxy.
        kind: who says what happens.
        options: plain values of the kind's table; beside them `at` and `direction`.
        protocol: of the proxy.
        match: which exchanges, or which connections.
        at: where it strikes messages; () on connections and listeners.
        level: what it strikes.
        direction: for kinds on bytes.
        probability: 0 to 1; of a roulette's choice its share.
        skip, every, count: let the first ones pass, strike each n-th, at most so many.
        lasts: seconds after arming until it disarms itself (the clause `for`).
        enabled: armed when it is installed.
        on_remove: what becomes of held messages: released in order, or their connection closed.
        only_at_start: on connections: strikes them when they are accepted and never later.
        phrase: the sentence as it was written; text: in its canonical form.
    """

    name: str
    kind: Kind
    options: Options
    protocol: WireProtocol
    match: Matcher
    at: tuple[Moment, ...] = ()
    level: Level = "message"
    direction: Direction = "both"
    probability: float = 1.0
    skip: int = 0
    every: int = 1
    count: int | None = None
    lasts: float | None = None
    enabled: bool = True
    on_remove: OnRemove = "release"
    only_at_start: bool = False
    phrase: Phrase
    text: str


@attrs.frozen(kw_only=True, eq=False)
class ScriptSpec:
    """Steps for consecutive matching exchanges; None lets one pass. Counts are expanded."""

    name: str
    match: Matcher
    steps: tuple[FaultSpec | None, ...]
    enabled: bool = True
    text: str
    level: Level = "message"
    at: tuple[Moment, ...] = ()
    lasts: float | None = None
    count: int | None = None
    on_remove: OnRemove = "release"
    only_at_start: bool = True


@attrs.frozen(kw_only=True, eq=False)
class RouletteSpec:
    """One draw for each exchange; at most one of the choices strikes it.

    `match` is true where that of any choice is.
    """

    name: str
    choices: tuple[FaultSpec, ...]
    match: Matcher
    enabled: bool = True
    skip: int = 0
    every: int = 1
    count: int | None = None
    lasts: float | None = None
    text: str
    level: Level = "message"
    on_remove: OnRemove = "release"
    only_at_start: bool = False
