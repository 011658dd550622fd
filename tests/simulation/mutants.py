"""Deliberate bugs of the data path: the simulation must catch each.

A mutant replaces one method or function while it is on. Each is a mistake that was made once, or
one that a later change might make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rascal.faults.fault import Fault, Strike
from rascal.faults.types import INF, Cut, Hold
from rascal.proxy import connection as connection_module
from rascal.proxy import during as during_module
from rascal.proxy import effects, tuning
from rascal.proxy.connection import Connection
from rascal.proxy.ends import End
from rascal.proxy.exchange import Books
from rascal.proxy.gate import Gate
from rascal.proxy.outlet import Outlet
from rascal.proxy.relay import Item, Relay
from rascal.proxy.replies import ReplyRelay


@dataclass(frozen=True)
class Mutant:
    """One bug: what is replaced by what."""

    name: str
    what: str
    owner: Any
    attribute: str
    make: Callable[[Any], Any]
    protocol: str | None = None

    @contextmanager
    def on(self) -> Iterator[None]:
        """While this bug is there."""
        before = getattr(self.owner, self.attribute)
        setattr(self.owner, self.attribute, self.make(before))
        try:
            yield
        finally:
            setattr(self.owner, self.attribute, before)


MUTANTS: dict[str, Mutant] = {}


def mutant(
    what: str, owner: Any, attribute: str, protocol: str | None = None
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register a function that makes the wrong one of the right one."""

    def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        name = make.__name__
        MUTANTS[name] = Mutant(name, what, owner, attribute, make, protocol)
        return make

    return register


# -- modes -----------------------------------------------------------------------------------------


@mutant("back to observing while a reply is to be swallowed", Books, "clean")
def observe_too_early(right: Any) -> Any:
    return lambda self: True


@mutant("a mode is changed while pieces of a batch are under way", tuning, "_change")
def forgets_what_is_undecided(right: Any) -> Any:
    def change(relay: Any, mode: Any) -> None:
        if relay.mode == "hold" and mode != "hold":
            relay.ahead = len(relay.codec.undecided())
        right(relay, mode)

    return change


@mutant("bytes that left before the mode changed are written twice", tuning, "_change")
def writes_twice(right: Any) -> Any:
    def change(relay: Any, mode: Any) -> None:
        right(relay, mode)
        relay.ahead = 0

    return change


@mutant("bytes kept back are passed by those that are sifted", Relay, "left")
def left_is_nothing(right: Any) -> Any:
    return lambda self: b""


# -- the books -------------------------------------------------------------------------------------


@mutant("one queue: what was parsed counts as delivered", ReplyRelay, "meet", "toy")
def one_queue(right: Any) -> Any:
    def meet(self: Any, piece: Any, struck: bool) -> Any:
        found = right(self, piece, struck)
        owed = self.connection.books.owed
        if piece.end and owed and owed[0] is found[0]:
            owed.popleft()
        return found

    return meet


@mutant("an injected reply goes out before its turn", Connection, "flush_owed")
def injected_before_its_turn(right: Any) -> Any:
    def flush(self: Any) -> None:
        owed = self.books.owed
        for x in list(owed):
            if getattr(x, "injected", None) is not None and self.down is not None:
                owed.remove(x)
                owed.appendleft(x)
        right(self)

    return flush


@mutant("own requests are written at once, inside a message too", Connection, "repair", "toy")
def rollback_inside_a_message(right: Any) -> Any:
    def repair(self: Any, requests: Any) -> None:
        up = self.up
        if up is None or up.void or self.upstream.fin or up.last_word:
            return
        up.injections.extend(requests)
        if up.mode == "hold":
            up.inject()

    return repair


@mutant("own requests are not written", Connection, "repair", "redis")
def no_rollback(right: Any) -> Any:
    return lambda self, requests: None


# -- holds and order -------------------------------------------------------------------------------


@mutant("holds of one message do not add up: the first counts", Item, "ready", "redis")
def only_the_first_hold(right: Any) -> Any:
    def ready(self: Any) -> float:
        live = [seconds for strike, seconds in self.holds if strike.state == "fired"]
        return float(self.at + (live[0] if live else 0.0))

    return ready


@mutant("a hold that was released still holds", Item, "ready")
def released_holds_hold_on(right: Any) -> Any:
    return lambda self: self.at + sum(seconds for _, seconds in self.holds)


@mutant("a removed fault lets nothing go", effects, "release")
def hold_not_released(right: Any) -> Any:
    def release(connection: Any, strikes: list[Any], on_remove: str) -> None:
        let = [one for one in strikes if not (one.state == "fired" and one.holding)]
        right(connection, let, on_remove)

    return release


@mutant("a hang is let go when its count is used up", Fault, "check_used_up")
def used_up_releases(right: Any) -> Any:
    def check(self: Any) -> None:
        right(self)
        if not self.armed:
            for strike in list(self.live):
                if strike.state == "fired" and any(
                    isinstance(act, Hold) and act.seconds == INF for act in strike.acts
                ):
                    strike.done()

    return check


@mutant("FIN does not wait for what is held", Relay, "enqueue", "redis")
def fin_overtakes_the_queue(right: Any) -> Any:
    def enqueue(self: Any, item: Any) -> None:
        if item.what == "fin" and self.queue:
            self.connection.relay_fin(self)
        else:
            right(self, item)

    return enqueue


@mutant("what is not held passes what is", Relay, "piece", "redis")
def unheld_pass_the_held(right: Any) -> Any:
    def piece(self: Any, piece: Any, write: bool, lags: Any) -> None:
        queue = self.queue
        if write and piece.start and piece.end and queue and not self.to_upstream:
            self.queue = type(queue)()
            right(self, piece, write, lags)
            self.queue.extend(queue)
        else:
            right(self, piece, write, lags)

    return piece


@mutant("clients that left behind a hang are kept", Connection, "check_abandon")
def no_abandon(right: Any) -> Any:
    return lambda self: None


# -- strikes and counters --------------------------------------------------------------------------


@mutant("a choice that never struck is not given back", Strike, "done")
def count_not_given_back(right: Any) -> Any:
    def done(self: Any, reason: str = "gone") -> None:
        chosen = self.state == "chosen"
        right(self, reason)
        if chosen:
            self.fault.reserved += 1
            self.fault.skipped[reason] -= 1

    return done


@mutant("only the winner is asked", Gate, "_pick", "toy")
def ask_only_the_winner(right: Any) -> Any:
    def pick(
        self: Any, fault: Any, x: Any, replies: bool, taken: Any, blocked: bool, *more: Any
    ) -> Any:
        if blocked or any(moment in taken for moment in getattr(fault.spec, "at", ())):
            return None
        return right(self, fault, x, replies, taken, blocked, *more)

    return pick


@mutant("reserved strikes do not count", Fault, "pick")
def count_without_reserved(right: Any) -> Any:
    def pick(self: Any, *args: Any, **named: Any) -> Any:
        reserved, self.reserved = self.reserved, 0
        found = right(self, *args, **named)
        self.reserved += reserved
        return found

    return pick


@mutant("noreply requests are struck like others", Fault, "pick")
def strikes_noreply(right: Any) -> Any:
    def pick(self: Any, subject: Any, replies: bool, *more: Any, **named: Any) -> Any:
        return right(self, subject, True, *more, **named)

    return pick


@mutant("every counts from 0", Fault, "_choose")
def every_is_off_by_one(right: Any) -> Any:
    def choose(self: Any, n: int, *more: Any) -> Any:
        return right(self, n - 1 if getattr(self.spec, "every", 1) > 1 and n else n, *more)

    return choose


# -- cuts and edits --------------------------------------------------------------------------------


@mutant("the cut is late: part N+1 has begun", during_module, "_keep")
def cut_late(right: Any) -> Any:
    def keep(act: Any, x: Any, data: Any, part: bool) -> int:
        if isinstance(act, Cut) and act.unit == "parts":
            return len(data) if part and x.parts == act.after else -1
        return int(right(act, x, data, part))

    return keep


@mutant("the rest of a replaced reply goes out behind it", ReplyRelay, "starts")
def rest_of_replaced_reply(right: Any) -> Any:
    def starts(self: Any, x: Any, head: Any) -> bool:
        found = bool(right(self, x, head))
        x.cut = False
        return found

    return starts


@mutant("a lost reply is followed by the next one", Connection, "end_by")
def hang_goes_on(right: Any) -> Any:
    def end_by(self: Any, strike: Any, then: str) -> None:
        if then != "hang":
            right(self, strike, then)

    return end_by


# -- bytes and bounds ------------------------------------------------------------------------------


@mutant("the rest is replaced, not appended to", End, "write", "redis")
def rest_replaced(right: Any) -> Any:
    def write(self: Any, data: Any) -> None:
        if self.rest and not self._mute:
            self._left = bytearray(data)
            self.rest = len(self._left)
        else:
            right(self, data)

    return write


@mutant("reading goes on whatever is held", Relay, "flow", "toy")
def flow_without_bound(right: Any) -> Any:
    def flow(self: Any) -> None:
        if not self.source.closed and not self.connection.ended_by:
            self.source.resume()

    return flow


@mutant("shaped bytes leave last in, first out", Outlet, "put")
def outlet_backwards(right: Any) -> Any:
    def put(self: Any, data: bytes) -> None:
        self.pending.appendleft(data)
        self.size += len(data)

    return put


@mutant("held bytes are not given back to the budget", Relay, "drop_queue")
def budget_leaks(right: Any) -> Any:
    def drop(self: Any) -> None:
        cost = self.cost
        right(self)
        self.connection.budget.add(cost)

    return drop


@mutant("timers of a connection outlive it", Connection, "_cancel_timers")
def timers_left(right: Any) -> Any:
    return lambda self: None


@mutant("RST of a peer is relayed as FIN", Relay, "finish_out")
def rst_becomes_fin(right: Any) -> Any:
    return lambda self, how: right(self, "close" if how == "reset" else how)


@mutant("lost sync always goes on as raw bytes", Books, "clean")
def raw_with_unclean_books(right: Any) -> Any:
    return lambda self: True


assert connection_module.ABANDON > 0
