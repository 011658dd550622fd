"""Faults of capacity: so many requests per second, so many at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from rascal.errors import ConfigError
from rascal.faults.calls import error_call, error_option, says, with_error_options
from rascal.faults.types import INF, Act, Draw, End, Hold, Kind, Reply
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import Moment, WireProtocol

if TYPE_CHECKING:
    from rascal.faults.fault import Strike

_MODE = Option(
    "mode",
    ("wait", "error", "close", "reset"),
    "what those above it get: they wait, an error, FIN, RST; wait, or error if one is given",
)


class _Limiting(Kind):
    """What the two have in common: what becomes of those above the limit."""

    moments: ClassVar[tuple[Moment, ...]] = ("request",)

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        return with_error_options(self.options, protocol) if protocol.messages else None

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        mode = options.mode or ("error" if options.error is not None else "wait")
        options.call = None
        if options.error is not None:
            if mode != "error":
                raise ConfigError(f"'error' has no meaning with mode={mode}", option="error")
            options.call = error_call(options.error, options, protocol)
        elif mode == "error":
            raise ConfigError("mode=error lacks its error: write error=NAME", option="mode")
        options.mode = mode

    def turned_away(self, options: Options) -> Act:
        """What it does to a request that may not wait."""
        if options.mode == "error":
            return Reply("request", says(options.call), repairs=True)
        return End("request", options.mode)


class Tokens:
    """A token bucket, kept as the time at which it would be full (GCRA): exact, one number.

    Args:
        rate: tokens per second.
        burst: tokens that it holds.
    """

    __slots__ = ("full", "interval", "slack")

    def __init__(self, rate: float, burst: int) -> None:
        self.interval = 1 / rate
        self.slack = (burst - 1) * self.interval
        self.full = -INF

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0: there is one."""
        return max(0.0, max(self.full, now) - self.slack - now)

    def take(self, now: float) -> None:
        """Take one, or the next that will be there."""
        self.full = max(self.full, now) + self.interval


class RateLimit(_Limiting):
    """Requests per second."""

    name = "rate_limit"
    datagrams = True
    summary = "At most so many requests per second; those above it wait or are turned away."
    faithful = (
        "A token bucket over all connections of the proxy, as API gateways have it. Requests "
        "that wait keep their order on their connection, and share what comes free in the order "
        "of their arrival. Requests within the limit count as skipped (under)."
    )
    options = OptionTable(
        Option("rate", "rate", "requests per second", required=True, minimum=1e-6),
        Option("burst", "positive", "requests at once; unset: what one second allows"),
        _MODE,
        error_option("what those above it are told"),
    )

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        super().check(options, protocol, at)
        options.burst = options.burst or max(1, int(options.rate))

    def state(self, options: Options) -> Tokens:
        return Tokens(options.rate, options.burst)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        now = subject.began
        seconds = state.wait(now)
        if seconds <= 1e-9:
            state.take(now)
            return "under"
        if options.mode != "wait":
            return self.turned_away(options)
        state.take(now)
        return Hold("request", seconds)


class Slots:
    """Exchanges that run, and those that wait for a slot with the hold that keeps them."""

    __slots__ = ("limit", "running", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running: set[Any] = set()
        self.waiting: deque[tuple[Any, Hold]] = deque()

    def free(self) -> bool:
        """Whether a slot is free; exchanges that ended unheard of give theirs back."""
        if len(self.running) >= self.limit:
            self.running = {x for x in self.running if not x.finished}
        return len(self.running) < self.limit

    def leave(self, x: Any) -> None:
        """An exchange is over: the first that waits takes its slot."""
        self.running.discard(x)
        if self.waiting and any(one is x for one, _ in self.waiting):
            self.waiting = deque(pair for pair in self.waiting if pair[0] is not x)
        while self.waiting and self.free():
            following, hold = self.waiting.popleft()
            if following.finished:
                continue
            self.running.add(following)
            for strike in list(following.strikes):
                if any(act is hold for act in strike.acts) and strike.live:
                    strike.release()


class Concurrency(_Limiting):
    """Requests at a time."""

    name = "concurrency"
    datagrams = True
    summary = "At most so many requests are served at a time; the others wait or are turned away."
    faithful = (
        "As a server with so many workers, over all connections of the proxy: the next in line "
        "starts when the reply to another has been delivered. Requests that find a slot count as "
        "skipped (under)."
    )
    options = OptionTable(
        Option("limit", "positive", "requests at a time", required=True),
        _MODE,
        error_option("what those above it are told"),
        Option("queue", "count", "so many wait before others are turned away", default=0),
    )
    tracks = True

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        super().check(options, protocol, at)
        if options.mode == "wait" and options.queue:
            raise ConfigError(
                "queue has no bound to keep: say what those beyond it get, error=NAME or mode=…",
                option="queue",
            )

    def state(self, options: Options) -> Slots:
        return Slots(options.limit)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        slots: Slots = state
        if not slots.waiting and slots.free():
            slots.running.add(subject)
            return "under"
        if options.mode != "wait" and len(slots.waiting) >= options.queue:
            return self.turned_away(options)
        hold = Hold("request", INF)
        slots.waiting.append((subject, hold))
        return hold

    def finished(
        self, options: Options, subject: Any, strike: Strike | None, reply: bytes | None, state: Any
    ) -> None:
        state.leave(subject)
