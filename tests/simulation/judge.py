"""Holds what a run did against the oracle: when which invariant can be asked.

Everything here looks from outside: bytes of the wires, the tape of strikes; of the connection
only what is public about its state (how it ended, how much it holds).
"""

from __future__ import annotations

from typing import Any

from rascal.faults.matching import ALWAYS
from rascal.faults.types import Hold, Refuse, StreamHold
from tests.simulation import oracle
from tests.simulation.oracle import Broken, by_request, check_choice, check_counters
from tests.simulation.tape import Struck, Tape
from tests.simulation.world import Site, World

BREAKS = ("rst", "left", "dial")
GARBAGE = {"client-garbage", "server-garbage"}


def check(site: Site, tape: Tape, now: float, final: bool) -> None:
    """The streams and times of one connection."""
    fired = tape.fired(site.connection)
    on_exchanges = [s for s in fired if s.n >= 0]
    up_edits = tape.edits.get(site.server_end, [])
    down_edits = tape.edits.get(site.client_end, [])
    up = bytes(site.server.taken) if site.server is not None else b""
    down = bytes(site.client.taken)
    up, down = oracle.unedited(up, up_edits), oracle.unedited(down, down_edits)
    broken = any(trouble.endswith(BREAKS) for trouble in site.troubles)
    check_reason(site, fired, bool(up_edits))
    if not on_exchanges or site.model.name == "tcp":
        ended = broken or _incomplete(site, fired)
        if not fired and not broken and final and site.server is not None:
            # Where heads are still rewritten, one that never ends is kept back.
            ended = bool(site.troubles & GARBAGE) and any(site.connection.rewrites)
        told = bytes(site.told)
        if any(s.act(Refuse) is not None and s.act(Refuse).call is not None for s in fired):
            told = tape.answers[id(site.connection.session)]
        oracle.check_raw(bytes(site.said), told, up, down, final and not ended)
        if not fired and final and not broken:
            check_closes(site)
        elif not fired and final:
            check_resets(site)
    elif not site.troubles & GARBAGE:
        cuts = tape.terminated.get(id(site.connection.session), [])
        told = len(site.told) if "server-fin" in site.troubles else None
        e = oracle.expect(site.model, site.sent, fired, cuts, told)
        ended = _incomplete(site, fired)
        oracle.check_up(site.model, up, e, final and not ended)
        if not up_edits:
            whole = e.whole and not ended and not e.outstanding
            if final and e.outstanding and e.whole and not ended and e.whole_up:
                raise Broken(3, "a request was never answered")
            oracle.check_down(down, site.sent, e, final, whole)
    if not site.troubles and site.server_end is not None:
        times(site, fired, now)


def _incomplete(site: Site, fired: list[Struck]) -> bool:
    """Whether not all of it has to arrive."""
    if site.troubles or site.closes or site.connection.ended_by:
        return True
    return any(s.stopped or s.act(*oracle.ENDS) is not None for s in fired)


def check_reason(site: Site, fired: list[Struck], garbled: bool) -> None:
    """9: a connection ends only for a reason that there is. garbled: on its way to the upstream."""
    why = site.connection.ended_by
    if not why or why == "peers":
        return
    held = [
        s
        for s in fired
        if any(getattr(a, "seconds", 0) or isinstance(a, StreamHold) for a in s.acts)
    ]
    if why == "lost sync":
        # Garbled on its way, two requests may be one to the upstream: its replies pair no more.
        strangers = garbled and any(number is None for _, number in site.model.seen)
        if not site.troubles & GARBAGE and not strangers:
            raise Broken(9, "sync was lost on a stream without garbage")
    elif why == "abandoned":
        if not held and not fired:
            raise Broken(9, "abandoned, and nothing held it")
        silent = any(getattr(act, "then", "") == "silent" for s in fired for act in s.acts)
        left = site.client.fin_in or site.client.rst_in
        if site.server is not None:
            left = left or site.server.fin_in or site.server.rst_in
        if not silent and not left:
            raise Broken(9, "abandoned, and nobody had left")
    elif why in ("client gone", "refused", "timeout", "unreachable", "unresolved"):
        if not site.troubles and not site.client.fin_in:
            raise Broken(9, f"ended ({why}) without a cause")
    elif not oracle.may_end(site, fired):
        raise Broken(9, f"ended by {why!r}, which had no right to")


def check_closes(site: Site) -> None:
    """4: both halves close as their peers did."""
    client, server = site.client, site.server
    if server is None:
        return
    if client.rst_out or server.rst_out:
        raise Broken(4, "a reset that nobody sent")
    if server.fin_out != client.fin_in:
        raise Broken(4, f"client FIN {client.fin_in}, relayed {server.fin_out}")
    if client.fin_out != server.fin_in:
        raise Broken(4, f"server FIN {server.fin_in}, relayed {client.fin_out}")


def check_resets(site: Site) -> None:
    """4: RST as RST."""
    if site.server is not None and site.troubles == {"client-rst"} and not site.server.rst_out:
        raise Broken(4, "the client's reset was not relayed")
    if site.troubles == {"server-rst"} and not site.client.rst_out:
        raise Broken(4, "the upstream's reset was not relayed")


def times(site: Site, fired: list[Struck], now: float) -> None:
    """6, where nothing but holds of messages struck."""
    if site.model.name == "tcp" or any(s.n < 0 for s in fired):
        return
    if any(not isinstance(act, Hold) for s in fired for act in s.acts):
        return
    assert site.server_end is not None
    mine = by_request(site.model.requests, fired)
    exact = not site.connection.ended_by
    messages, at = [], 0
    for index, request in enumerate(site.model.requests):
        holds = oracle.holds_of(mine.get(index, []), "request")
        messages.append((at, at + len(request.data), holds))
        at += len(request.data)
    oracle.check_times(
        "request", messages, site.client_end.reads, site.server_end.writes, now, exact
    )
    messages = []
    for one in site.sent:
        holds = []
        if one.reply.what == "reply" and not one.reply.again:
            index = one.reply.request
            if index is None:
                index = oracle.GREETING
            holds = oracle.holds_of(mine.get(index, []), "reply", "greeting")
        messages.append((one.start, one.end, holds))
    oracle.check_times("reply", messages, site.server_end.reads, site.client_end.writes, now, exact)


def check_bounds(site: Site, bound: int, read: int) -> None:
    """8: what a direction holds: the bound, one read, and a message that codec or fault kept."""
    connection = site.connection
    up, down = connection.up, connection.down
    if up is None or down is None:
        return
    largest = site.model.largest
    for relay, slack in ((up, read + 3 * largest), (down, 12 * read + 9000)):
        held = relay.size + (relay.outlet.size if relay.outlet is not None else 0)
        if held > bound + slack:
            raise Broken(8, f"{held} bytes held, {bound} allowed")
        if held + relay.target.rest > 2 * bound + slack:
            raise Broken(8, f"{held} held and a rest of {relay.target.rest}, {bound} allowed")


def check_rest(site: Site, tape: Tape) -> None:
    """5: the faults are gone, everything was read: nothing is held, nobody watches."""
    connection = site.connection
    if connection.strikes:
        raise Broken(5, f"strikes are left: {[s.fault.name for s in connection.strikes]}")
    if connection.ended_by or (connection.abandon is not None and site.troubles):
        return  # its client reset a dead connection: let go in a while
    for relay in (connection.up, connection.down):
        if relay is None:
            continue
        if relay.queue or relay.size:
            raise Broken(5, f"{len(relay.queue)} items are left in a queue")
        if relay.outlet is not None:
            raise Broken(5, "an outlet is left")
        if site.troubles & GARBAGE or getattr(site.model, "quiet_ones", None):
            continue  # a message that never ends; a quiet request that nothing follows
        if (
            tape.edits.get(site.server_end)
            and connection.up is not None
            and connection.books.forwarded
        ):
            continue  # garbled on its way, the upstream took two requests for one
        if any(connection.rewrites) or (relay.mode == "watch" and connection.gate.watch_until):
            continue
        if relay.mode not in ("pass", "skim", "void") and not connection.silent:
            raise Broken(5, f"still in {relay.mode}")
    if connection.up is not None and connection.up.injections:
        raise Broken(5, "own requests were never written")


def check_asked(founders: list[Any], sites: list[Site], tape: Tape) -> None:
    """7: a fault that was there from the start and matches all was asked about every request."""
    if any(site.troubles & GARBAGE for site in sites):
        return
    for fault in founders:
        spec = fault.spec
        if not fault.armed or spec.level != "message" or spec.match is not ALWAYS:
            continue
        if spec.lasts is not None or fault.is_script or set(getattr(spec, "at", ())) <= {"connect"}:
            continue
        least = most = 0
        for site in sites:
            asked = [i for i, one in enumerate(site.model.requests) if one.asked]
            seen = {index for _, index in site.model.seen}
            answered = {s.n for s in tape.fired(site.connection) if s.n > 0 and s.made is not None}
            least += sum(1 for n, i in enumerate(asked, 1) if i in seen or n in answered)
            most += len(asked)
        if not least <= fault.matched <= most:
            raise Broken(7, f"{fault.name} matched {fault.matched} of {least} to {most} requests")


def check_timers(world: World) -> None:
    """9: no timer outlives its connection."""
    for call in world.reactor.pending():
        fn = call.fn
        found = [getattr(fn, "__self__", None)]
        found += [cell.cell_contents for cell in getattr(fn, "__closure__", None) or ()]
        for one in found:
            connection = getattr(getattr(one, "relay", one), "connection", None)
            if getattr(connection, "gone", False):
                raise Broken(9, f"a timer outlives its connection: {call.what}")


def check_nothing_left(
    world: World, gate: Any, budget: Any, faults: list[Any], changed: list[Any]
) -> None:
    """9 and 7, when all clients have gone."""
    if gate.connections:
        left = next(iter(gate.connections.values()))
        raise Broken(9, f"connection {left.number} is left open")
    gate.close()
    for call in world.reactor.pending():
        if not call.what.startswith("End."):
            raise Broken(9, f"a timer is left: {call.what} at {call.when}")
    world.reactor.advance(world.reactor.time + 100.0)
    if world.hangups.ends:
        raise Broken(9, f"{len(world.hangups.ends)} ends are left open")
    pending = world.reactor.pending()
    if pending:
        raise Broken(9, f"{len(pending)} timers are left: {pending[0].fn}")
    if world.reactor.readers or world.reactor.writers or world.hangups.watched:
        raise Broken(9, "ends are left in the reactor")
    if budget.held:
        raise Broken(8, f"{budget.held} bytes are still counted as held")
    for fault in faults:
        check_counters(fault, changed)
        if fault.reserved or fault.live:
            raise Broken(7, f"{fault.name}: reserved {fault.reserved}, live {len(fault.live)}")


__all__ = ["Broken", "check", "check_choice", "check_counters"]
