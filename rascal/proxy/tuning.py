"""The modes of a connection's two relays: chosen from what the faults need and what is owed.

    pass ◄─► raw                    no codec: raw while anything is held, shaped or queued
    skim ◄─► watch ◄─► hold         up at any byte; down only while the books are clean

Modes change only between two reads, never inside a batch of pieces. Both relays watch, or neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rascal.proxy.exchange import PLAIN
from rascal.proxy.needs import HOLD_RANK, SKIM_RANK, WATCH_RANK
from rascal.wire.types import Head

if TYPE_CHECKING:
    from rascal.proxy.connection import Connection
    from rascal.proxy.relay import Mode, Relay
    from rascal.proxy.replies import ReplyRelay

RANKS: dict[str, int] = {"skim": SKIM_RANK, "watch": WATCH_RANK, "hold": HOLD_RANK}
UNCHANGED = (False, False)
MODES: tuple[Mode, ...] = ("skim", "watch", "hold")


def tune(connection: Connection) -> None:
    """Choose; changes nothing in the middle of a batch: it is asked again when that is over."""
    up, down = connection.up, connection.down
    assert up is not None
    assert down is not None
    if up.feeding or down.feeding or up.busy or down.busy or connection.silent:
        return
    if connection.is_raw or not connection.protocol.messages:
        _plain(up)
        _plain(down)
        return
    if connection.rewrites != UNCHANGED and connection.protocol.rewritten(connection.session):
        connection.rewrites = UNCHANGED
    needs = connection.gate.needs
    own_up, own_down = _own(up), _own(down)
    want_up = max(needs.up, own_up, HOLD_RANK if connection.rewrites[0] else 0)
    want_down = max(needs.down, own_down, HOLD_RANK if connection.rewrites[1] else 0)
    connection.tuned = None if own_up or own_down else needs
    if connection.idlers or connection.due is not None or connection.gate.watching:
        want_up, want_down = max(want_up, WATCH_RANK), max(want_down, WATCH_RANK)
    have_up, have_down = RANKS.get(up.mode, HOLD_RANK), RANKS.get(down.mode, HOLD_RANK)
    if have_up == SKIM_RANK and connection.greeting is not None and connection.greeting.strikes:
        want_up = want_down = HOLD_RANK
    if (want_up < have_up or want_down < have_down) and not _clean(connection):
        want_up, want_down = max(want_up, have_up), max(want_down, have_down)
        connection.tuned = None
    if want_up > SKIM_RANK or want_down > SKIM_RANK:
        want_up, want_down = max(want_up, WATCH_RANK), max(want_down, WATCH_RANK)
    if up.discard is None and down.discard is None and (want_up, want_down) == (have_up, have_down):
        return
    if have_up == SKIM_RANK and want_up > SKIM_RANK:
        connection.books.watch()
    _change(up, MODES[want_up])
    if not _over(connection):
        _change(down, MODES[want_down])
    if _over(connection):
        return
    if have_up > SKIM_RANK and want_up == SKIM_RANK:
        connection.books.unwatch()


def _over(connection: Connection) -> bool:
    """It has just ended: what was kept back has left, and a limit was reached."""
    return bool(connection.ended_by)


def _own(relay: Relay) -> int:
    """What a relay needs for itself."""
    if relay.lags or relay.queue or relay.backlog:
        return HOLD_RANK
    return WATCH_RANK if relay.outlet is not None else SKIM_RANK


def _clean(connection: Connection) -> bool:
    """Nothing is on its way that only a watchful relay can finish."""
    up, down = connection.up, connection.down
    assert up is not None
    assert down is not None
    return not (
        up.queue
        or down.queue
        or connection.stuck is not None
        or up.injections
        or any(strike.subject is not connection for strike in connection.strikes)
        or up.dropping()
        or not (connection.client.fin or (connection.books.clean() and not down.dropping()))
    )


def _plain(relay: Relay) -> None:
    mode: Mode = "pass"
    if relay.discard is not None:
        mode = "discard"
    elif relay.void:
        mode = "void"
    elif (
        relay.lags
        or relay.queue
        or relay.outlet is not None
        or relay.connection.idlers
        or relay.connection.stuck is not None
        or relay.connection.due is not None
    ):
        mode = "raw"
    if relay.mode != mode:
        relay.use(mode)


def _change(relay: Relay, mode: Mode) -> None:
    if relay.void:
        return
    if relay.discard is not None:
        mode = "discard"
    old = relay.mode
    if mode == old:
        return
    codec = relay.codec
    assert codec is not None
    if old == "hold" and mode in ("watch", "skim"):
        relay.put(relay.left())
        if relay.connection.ended_by:
            return
        relay.ahead = 0
    if old == "skim":
        relay.open = bool(codec.under_way())
        if not relay.to_upstream:
            _catch_up(relay)  # type: ignore[arg-type]  # it is the other of the two
    if mode == "hold":
        relay.ahead = len(codec.undecided())
    if mode == "skim":
        relay.current = None
        relay.open = False
    relay.use(mode)


def _catch_up(down: ReplyRelay) -> None:
    """A reply is under way that nobody saw begin: its end must find its exchange."""
    assert down.codec is not None
    way = down.codec.under_way()
    down.interim = way == "aside"
    down.current = None
    if way == "message":
        x = down.current = down.connection.books.answering()
        if x is not None and x is not PLAIN:
            x.reply_head = Head("")
