"""What faults on connections and bytes do to a connection, and how any strike is let go.

apply(connection, strike)      the strike was chosen for this connection: set it up
attach(connection)             both legs are there: what concerns bytes goes to the relays
release(connection, strikes, on_remove)     the fault has left: nothing that it holds stays
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.faults.types import (
    INF,
    Act,
    Age,
    CloseHold,
    ConnectHold,
    Discard,
    Edit,
    End,
    Idle,
    Pace,
    Pass,
    Refuse,
    StreamHold,
)
from rascal.proxy.during import flush_collected
from rascal.proxy.outlet import Outlet

if TYPE_CHECKING:
    from rascal.faults.fault import Strike
    from rascal.faults.types import Shaper
    from rascal.proxy.connection import Connection
    from rascal.proxy.relay import Relay

BYTES = (StreamHold, CloseHold, Pace, Discard)


def only_at_start(spec: Any) -> bool:
    """Whether a fault strikes connections when they are accepted and never later."""
    return bool(spec.only_at_start)


def apply(connection: Connection, strike: Strike) -> None:
    """Set up what a connection-level strike wants."""
    for act in strike.acts:
        if isinstance(act, Refuse | End):
            if connection.turned_away:
                strike.done("outranked")
                return
            strike.fire()
            connection.turn_away(strike, act)
        elif isinstance(act, ConnectHold):
            connection.hold_dial(strike, act.seconds)
        elif isinstance(act, Pass):
            strike.fire()
        else:
            _set_up(connection, strike, act)
    connection.tune()


def _set_up(connection: Connection, strike: Strike, act: Act) -> None:
    """What lasts as long as the connection, and can be set up anew when the fault is changed."""
    if isinstance(act, Age):
        when = max(connection.clock.now(), connection.began + act.seconds)
        connection.timers[strike] = connection.clock.call_at(
            when, lambda: _aged(connection, strike, act)
        )
    elif isinstance(act, Idle):
        connection.touched = connection.clock.now()
        connection.idlers[strike] = act
        _watch_idle(connection, strike, act)
    elif isinstance(act, BYTES):
        if connection.up is not None:
            _attach(connection, strike, act)
        else:
            connection.pending.append((strike, act))


def _take_down(connection: Connection, strike: Strike) -> None:
    """Undo _set_up; what it held is free to go."""
    timer = connection.timers.pop(strike, None)
    if timer is not None:
        timer.cancel()
    connection.idlers.pop(strike, None)
    connection.pending = [pair for pair in connection.pending if pair[0] is not strike]
    if connection.due is not None and connection.due[0] is strike:
        connection.due = None
    for relay in (connection.up, connection.down):
        if relay is not None:
            if relay.discard is strike:
                relay.discard = None
            if relay.trap is strike:
                relay.set_trap(_other_trap(connection, strike, relay))
            relay.lags = [pair for pair in relay.lags if pair[0] is not strike]
            relay.closed = [pair for pair in relay.closed if pair[0] is not strike]
            if relay.outlet is not None:
                relay.outlet.remove(strike)


def _other_trap(connection: Connection, strike: Strike, relay: Relay) -> Strike | None:
    """Another blackhole that waits for the first bytes of this direction."""
    ways = ("both", "to_upstream" if relay.to_upstream else "to_client")
    for other in connection.strikes:
        if other is not strike and other.state == "fired":
            for act in other.acts:
                if isinstance(act, Discard) and act.first and act.direction in ways:
                    return other
    return None


def _let_out(connection: Connection) -> None:
    for relay in (connection.up, connection.down):
        if relay is not None and relay.outlet is not None and not connection.ended_by:
            relay.let_out()
    if not connection.ended_by:
        connection.pump()


def attach(connection: Connection) -> None:
    """The relays exist now."""
    pending, connection.pending = connection.pending, []
    for strike, act in pending:
        if strike.state == "chosen":
            _attach(connection, strike, act)


def _attach(connection: Connection, strike: Strike, act: Act) -> None:
    assert connection.up is not None
    assert connection.down is not None
    for relay in (connection.up, connection.down):
        direction = getattr(act, "direction", "both")
        if direction not in ("both", "to_upstream" if relay.to_upstream else "to_client"):
            continue
        if isinstance(act, StreamHold):
            strike.fire()
            strike.holding = int(act.sample(0) == INF)
            relay.lags.append((strike, act))
        elif isinstance(act, CloseHold):
            relay.closed.append((strike, act.seconds))
        elif isinstance(act, Discard):
            strike.fire()
            if act.first:
                relay.set_trap(strike)
                continue
            relay.discard = strike
            if act.idle:
                _end_after(connection, strike, act)
        elif isinstance(act, Pace):
            strike.fire()
            if relay.outlet is None:
                relay.outlet = Outlet(relay)
            relay.outlet.shapers.append((strike, act.make()))


def _aged(connection: Connection, strike: Strike, act: Age) -> None:
    connection.timers.pop(strike, None)
    if act.at_boundary and not connection.at_boundary():
        connection.due = (strike, act)
        connection.tune()
        return
    expire(connection, strike, act)


def expire(connection: Connection, strike: Strike, act: Age | Idle) -> None:
    """Its time is up: close, reset, or drop it silently."""
    if connection.ended_by or strike.state != "chosen":
        return
    strike.fire()
    if act.then == "silent":
        connection.silence()
    else:
        connection.end(act.then, strike.fault.name)


def _watch_idle(connection: Connection, strike: Strike, act: Idle) -> None:
    when = connection.touched + act.seconds

    def due() -> None:
        connection.timers.pop(strike, None)
        if connection.touched + act.seconds <= connection.clock.now():
            connection.idlers.pop(strike, None)
            expire(connection, strike, act)
        else:
            _watch_idle(connection, strike, act)

    connection.timers[strike] = connection.clock.call_at(when, due)


def discarded(connection: Connection, strike: Strike) -> None:
    """Bytes were dropped: the time until the connection closes starts anew."""
    act = next(act for act in strike.acts if isinstance(act, Discard))
    if not (act.first and strike in connection.timers):
        _end_after(connection, strike, act)


def _end_after(connection: Connection, strike: Strike, act: Discard) -> None:
    """The connection's time runs from now on."""
    timer = connection.timers.pop(strike, None)
    if timer is not None:
        timer.cancel()
    if act.close_after < INF:
        connection.timers[strike] = connection.clock.call_at(
            connection.clock.now() + act.close_after,
            lambda: _end_both(connection, strike, act.then),
        )


def _end_both(connection: Connection, strike: Strike, then: str) -> None:
    """Bytes of one side were lost: both see the end alike."""
    if then == "reset" and connection.upstream is not None:
        connection.upstream.reset()
    connection.end(then, strike.fault.name)


def renew(strike: Strike) -> None:
    """The fault was changed: what it does to this connection is another from now on."""
    connection: Connection = strike.subject.connection
    if connection.ended_by or strike in connection.waits:
        return
    if not strike.fault.renewed(strike):
        release(connection, [strike], "release")
        return
    running = strike in connection.timers
    before = _shapers(connection, strike)
    relays = [relay for relay in (connection.up, connection.down) if relay is not None]
    holes = [relay for relay in relays if relay.discard is strike]
    _take_down(connection, strike)
    for act in strike.acts:
        _set_up(connection, strike, act)
        if running and isinstance(act, Discard):
            connection.spring(strike)
            _end_after(connection, strike, act)
    if any(relay.discard is not strike for relay in holes):
        connection.end("close", "fault changed")  # bytes of this direction are lost
        return
    for relay, shaper in _shapers(connection, strike).items():
        if relay in before:
            shaper.follow(before[relay])
    connection.tune()
    _let_out(connection)


def _shapers(connection: Connection, strike: Strike) -> dict[Relay, Shaper]:
    """Its shaper on each relay that has one."""
    return {
        relay: shaper
        for relay in (connection.up, connection.down)
        if relay is not None and relay.outlet is not None
        for owner, shaper in relay.outlet.shapers
        if owner is strike
    }


def idle(strike: Strike) -> bool:
    """Chosen for an exchange, and nothing of it has been set up: it can be dropped as it is."""
    return strike.subject is not strike.subject.connection and not isinstance(strike.acts[0], Edit)


def release(connection: Connection, strikes: list[Strike], on_remove: str) -> None:
    """The fault of these strikes of one connection has left: void what has not struck, let go
    what is held, in order."""
    ends: str | None = None
    upstream_too = False
    for strike in strikes:
        fired = strike.state == "fired"
        held = fired and strike.holding > 0
        if fired:
            for act in strike.acts:
                if _lost(connection, strike, act):
                    ends = getattr(act, "then", "close") if isinstance(act, Discard) else "close"
                    upstream_too = ends == "reset"
        if connection.stuck is strike or (held and on_remove == "close"):
            ends = ends or "close"
        strike.done("removed")
        if strike.subject is connection:
            _take_down(connection, strike)
    if connection.ended_by:
        if connection.down is not None and connection.down.outlet is not None:
            connection.down.let_out()
        return
    if ends is not None:
        if upstream_too and connection.upstream is not None:
            connection.upstream.reset()
        connection.end(ends, "fault removed")
        return
    for strike in strikes:
        _let_collected(connection, strike)
        connection.let_dial(strike)
    _let_out(connection)


def _lost(connection: Connection, strike: Strike, act: Act) -> bool:
    """Bytes may have been lost to it."""
    return isinstance(act, Discard) and not (act.first and strike not in connection.timers)


def _let_collected(connection: Connection, strike: Strike) -> None:
    """A reply that was gathered for this edit alone goes on as it came."""
    x = strike.subject
    if x is connection or x.collected is None or connection.down is None:
        return
    if not any(one.live and isinstance(one.acts[0], Edit) for one in x.strikes):
        flush_collected(connection.down, x)
