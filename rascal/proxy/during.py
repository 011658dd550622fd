"""Strikes in the middle of a reply: cut, stall, and edits of the whole of it.

Cuts and stalls by parts act where part N+1 BEGINS: waiting for the end of part N would have let
the first bytes of the next one out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.faults.types import Cut, Edit, Stall

if TYPE_CHECKING:
    from rascal.faults.fault import Strike
    from rascal.proxy.exchange import Exchange
    from rascal.proxy.relay import Item
    from rascal.proxy.replies import ReplyRelay
    from rascal.wire.types import Head


def during(
    relay: ReplyRelay,
    x: Exchange,
    data: Any,
    start: Head | None,
    part: bool,
    end: bool,
    mark: int,
) -> Item | None:
    """Look whether a cut or a stall is due in this piece; what must wait comes back as an item.

    After a cut `x.cut` is set, or the connection has ended or is stuck.
    """
    for strike in list(x.strikes):
        if strike.state != "chosen":
            continue
        act = strike.acts[0]
        if isinstance(act, Cut):
            keep = _keep(act, x, data, part)
            if keep >= 0 and _cut(relay, x, strike, act, data[:keep], mark):
                return None
        elif isinstance(act, Stall):
            keep = _keep(act, x, data, part)
            if keep >= 0:
                return _stall(relay, x, strike, act, data, keep, start, part, end, mark)
    return None


def _keep(act: Cut | Stall, x: Exchange, data: Any, part: bool) -> int:
    """Bytes of this piece that still leave; -1: it is not due here."""
    if act.unit == "parts":
        return 0 if part and x.parts == act.after else -1
    left = act.after - x.reply_size
    return max(0, left) if left < len(data) else -1


def _cut(relay: ReplyRelay, x: Exchange, strike: Strike, act: Cut, kept: Any, mark: int) -> bool:
    connection = relay.connection
    if act.then in ("error", "end"):
        call = act.call if act.then == "error" else None
        words = None
        if not len(kept):  # a reply can be closed between two parts only
            words = connection.protocol.terminate(connection.session, x.head, mark, call)
        if words is None:
            strike.done("impossible")
            return False
        strike.fire()
        x.cut = True
        x.outcome = "cut"
        flush_collected(relay, x)
        relay.put(words)
        strike.done()
        if x.reply_head is not None and x.reply_head.pivot:
            connection.end("close", strike.fault.name)
        return True
    strike.fire()
    x.outcome = "cut"
    flush_collected(relay, x)
    relay.put(kept)
    x.reply_size += len(kept)
    connection.end_by(strike, act.then)
    return True


def _stall(
    relay: ReplyRelay,
    x: Exchange,
    strike: Strike,
    act: Stall,
    data: Any,
    keep: int,
    start: Head | None,
    part: bool,
    end: bool,
    mark: int,
) -> Item:
    from rascal.proxy.relay import Item

    strike.fire()
    strike.holding += 1
    if keep:
        kept = bytes(data[:keep])
        if x.collected is None:
            relay.put(kept)
        else:
            x.collected += kept
        x.reply_size += keep
        x.capture(kept)
        x.parts += part
        part = False
    now = relay.connection.clock.now()
    holds = [(strike, act.seconds)]
    return Item("data", x, bytes(data[keep:]), now, holds, None, part, end, mark)


def collect(relay: ReplyRelay, x: Exchange, data: Any, end: bool) -> None:
    """Gather the whole reply for edits; at its end they change it, beyond their bound it goes."""
    assert x.collected is not None
    x.collected += data
    edits = [s for s in x.strikes if s.state == "chosen" and isinstance(s.acts[0], Edit)]
    bound = min((act.limit for s in edits for act in s.acts if isinstance(act, Edit)), default=0)
    if len(x.collected) > bound:
        for strike in edits:
            strike.done("too_large")
        flush_collected(relay, x)
    elif end:
        for strike in edits:
            act = strike.acts[0]
            assert isinstance(act, Edit)
            changed = act.change(x, bytes(x.collected))
            if changed is None:
                strike.done("nothing")
            else:
                strike.fire()
                x.outcome = "replaced"
                x.collected = bytearray(changed)
                strike.done()
        flush_collected(relay, x)


def flush_collected(relay: ReplyRelay, x: Exchange) -> None:
    """Let out what was gathered."""
    data, x.collected = x.collected, None
    if data:
        relay.put(bytes(data))
