"""Playbooks of the data path: who says what, and what must come out, on ends in memory.

Most of them are failing seeds of the simulation (tests/simulation), cut down to their core.
"""

from __future__ import annotations

import attrs
from bench import Bench, compiled, error, fault, frame, keyed, ok, query, rows, script

from rascal.faults.types import INF, Cut, Edit, Hold, Pace, Repeat, Reply, Shaper, Stall
from rascal.proxy.ends import CLOSING
from rascal.wire.types import Answer
from tests.simulation.acts import Limit, Rate


class Never(Shaper):
    """Lets nothing out, ever."""

    def allow(self, now: float, available: int) -> tuple[int, float]:
        return 0, INF


def test_a_hold_of_one_request_holds_those_behind_it() -> None:
    bench = Bench(fault(lambda m, d: Hold(m, 2.0), "request", count=1, holds=True))
    bench.client(query(b"k1") + query(b"k2"))
    assert bench.seen == b""
    bench.wait(1.9)
    assert bench.seen == b""
    bench.wait(0.1)
    assert bench.seen == query(b"k1") + query(b"k2")


def test_rows_are_cut_where_the_next_one_begins() -> None:
    bench = Bench(fault(lambda m, d: Cut(1, "parts", "end"), "during"))
    bench.client(query(b"k1"))
    assert bench.seen == query(b"k1")
    bench.server(rows(b"one", b"two", b"three"), chunk=1)
    head = rows(b"one")
    assert bench.got == head[: -len(b"E\x03\0\0")] + b"E\x03\0\3cut"
    bench.client(query(b"k2"))
    bench.server(ok(b"2"))


def test_a_script_that_is_replaced_keeps_no_account_of_old_strikes() -> None:
    hang = fault(lambda m, d: Hold(m, INF), "reply", name="f.1", holds=True)
    bench = Bench(script(None, None, hang))
    bench.client(query(b"k1") + query(b"k2") + query(b"k3"))
    installed = bench.gate.faults["f"]
    assert installed.reserved == 1
    bench.gate.replace(installed, script(None))
    bench.server(ok(b"1") + ok(b"2"))
    assert bench.got == ok(b"1") + ok(b"2")
    bench.server(ok(b"3"))
    assert (installed.fired, installed.reserved) == (1, 0)
    assert installed.step_states == ["unused"]
    bench.gate.remove("f")
    bench.turn()
    assert bench.got == ok(b"3")


def test_the_rest_of_an_interim_reply_is_not_taken_for_the_reply() -> None:
    bench = Bench(fault(lambda m, d: Hold(m, 1.0), "reply", match=keyed(b"k1"), holds=True))
    bench.client(query(b"k1") + query(b"k2"))
    bench.server(frame("W", 0, b"working") + ok(b"1") + ok(b"2"), chunk=15)
    assert bench.got == frame("W", 0, b"working")
    bench.wait(1.0)
    assert bench.got == ok(b"1") + ok(b"2")


def test_an_injected_reply_does_not_overtake_one_announced_by_an_interim_reply() -> None:
    answer = fault(
        lambda m, d: Reply(m, lambda x: Answer(error(b"no"))), "request", match=keyed(b"k2")
    )
    bench = Bench(answer)
    bench.client(query(b"k1") + query(b"k2"))
    bench.server(frame("W", 0, b"working"), chunk=1)
    bench.server(ok(b"1"))
    assert bench.got == frame("W", 0, b"working") + ok(b"1") + error(b"no")


def test_books_do_not_keep_a_half_closed_connection_in_hold() -> None:
    answer = fault(
        lambda m, d: Reply(m, lambda x: Answer(error(b"no"))), "request", match=keyed(b"k2")
    )
    bench = Bench(answer)
    bench.right.fin()
    bench.turn()
    assert bench.left.fin_out
    bench.client(query(b"k1") + query(b"k2") + query(b"k1"))
    bench.gate.remove("f")
    bench.client(query(b"k3"))
    assert bench.seen == query(b"k1") + query(b"k1") + query(b"k3")
    assert bench.connection.up is not None
    assert bench.connection.up.mode == "skim"


def test_an_edit_that_is_removed_lets_go_what_it_has_collected() -> None:
    bench = Bench(fault(lambda m, d: Edit(lambda x, data: b"", 65536), "reply"))
    bench.client(query(b"k1"))
    bench.server(rows(b"one", b"two")[:9])
    assert bench.got == b""
    bench.gate.remove("f")
    bench.server(rows(b"one", b"two")[9:])
    assert bench.got == rows(b"one", b"two")


def test_bytes_kept_back_leave_before_what_passes_unseen() -> None:
    never = fault(lambda m, d: Hold(m, 1.0), "reply", match=compiled("key=zz"), holds=True)
    bench = Bench(never, fault(lambda m, d: Hold(m, 1.0), "reply", name="all", holds=True))
    bench.server(frame("P", 0, b"push")[:2])
    assert bench.got == b""
    bench.gate.remove("all")
    bench.server(frame("P", 0, b"push")[2:])
    assert bench.got == frame("P", 0, b"push")


def test_output_that_ends_the_connection_ends_the_read_too() -> None:
    limit = fault(lambda m, d: Pace("to_upstream", lambda: Limit(5, "close")), name="f")
    bench = Bench(limit)
    bench.client(query(b"k1"))
    assert bench.seen == query(b"k1")[:5]
    assert bench.left.fin_out


def test_a_cut_lets_go_what_an_edit_has_collected() -> None:
    edit = fault(lambda m, d: Edit(lambda x, data: b"", 65536), "reply", name="e")
    cut = fault(lambda m, d: Cut(1, "parts", "end"), "during", name="c")
    bench = Bench(edit, cut)
    bench.client(query(b"k1"))
    bench.server(rows(b"one", b"two"))
    assert bench.got == rows(b"one")[:-4] + frame("E", 3, b"cut")
    assert bench.gate.faults["e"].skipped == {"gone": 1}


def test_a_stall_keeps_its_place_in_what_an_edit_collects() -> None:
    edit = fault(lambda m, d: Edit(lambda x, data: ok(b"%d" % len(data)), 65536), "reply", name="e")
    stall = fault(lambda m, d: Stall(8, "bytes", 1.0), "during", name="s")
    bench = Bench(edit, stall)
    bench.client(query(b"k1"))
    bench.server(rows(b"one", b"two"))
    bench.wait(0.9)
    assert bench.got == b""
    bench.wait(0.1)
    assert bench.got == ok(b"%d" % len(rows(b"one", b"two")))


def test_a_client_that_left_behind_a_stalled_reply_is_let_go() -> None:
    bench = Bench(fault(lambda m, d: Stall(2, "bytes", INF), "during"))
    bench.client(query(b"k1"))
    bench.server(ok(b"1"))
    assert bench.got == ok(b"1")[:2]
    bench.left.fin()
    bench.turn()
    assert bench.right.fin_out
    bench.wait(9.9)
    assert not bench.left.fin_out
    bench.wait(0.2)
    assert bench.left.fin_out


def test_two_resets_behind_two_rests_end_the_connection() -> None:
    bench = Bench()
    bench.left.window = bench.right.window = 10
    bench.client(query(b"k1", 200))
    bench.server(frame("P", 0, b"." * 200))
    assert all(end.rest for end in bench.ends)
    bench.left.feed(query(b"k2"))
    bench.right.feed(ok(b"1"))
    bench.left.rst()
    bench.right.rst()
    bench.turn()
    assert not bench.gate.connections


def test_a_client_that_left_behind_a_shaper_without_end_is_let_go() -> None:
    bench = Bench(fault(lambda m, d: Pace("to_client", Never)))
    bench.client(query(b"k1"))
    bench.server(ok(b"1"))
    bench.left.fin()
    bench.turn()
    bench.wait(9.9)
    assert bench.gate.connections
    bench.wait(0.2 + CLOSING)
    assert not bench.gate.connections


def test_undecided_bytes_before_a_fin_leave_once() -> None:
    slow = fault(lambda m, d: Pace("to_upstream", lambda: Rate(10.0, 1)), name="slow")
    hold = fault(lambda m, d: Hold(m, 1.0), "request", name="hold", holds=True)
    bench = Bench(slow, hold)
    bench.client(query(b"k1")[:3])
    bench.left.fin()
    bench.turn()
    bench.gate.remove("hold")
    bench.gate.remove("slow")
    bench.turn()
    assert bench.seen == query(b"k1")[:3]


def test_part_of_a_head_whose_reply_is_swallowed_is_dropped_before_a_fin() -> None:
    bench = Bench(fault(lambda m, d: Repeat(65536), "request"))
    bench.client(query(b"k1"))
    assert bench.seen == 2 * query(b"k1")
    bench.server(ok(b"1") + ok(b"2")[:3])
    bench.right.fin()
    bench.turn()
    assert bench.got == ok(b"1")
    assert bench.left.fin_out


def test_a_cut_reply_that_never_ends_keeps_nothing_in_hold() -> None:
    bench = Bench(fault(lambda m, d: Cut(0, "parts", "end"), "during"))
    bench.client(query(b"k1"))
    bench.server(rows(b"one", b"two")[:12])
    bench.right.fin()
    bench.turn()
    assert bench.left.fin_out
    bench.gate.remove("f")
    bench.client(query(b"k2"))
    assert bench.connection.up is not None
    assert bench.connection.up.mode == "skim"


def test_a_fin_behind_a_shaper_without_end_counts_as_leaving() -> None:
    bench = Bench(fault(lambda m, d: Pace("to_upstream", Never)))
    bench.client(query(b"k1"))
    bench.left.fin()
    bench.turn()
    bench.wait(9.9)
    assert bench.gate.connections
    bench.wait(0.2)
    assert not bench.gate.connections


def test_a_changed_fault_strikes_late_only_what_it_counts() -> None:
    rare = fault(lambda m, d: Pace("to_client", lambda: Rate(10.0, 1)), probability=1e-12)
    bench = Bench(rare)
    installed = bench.gate.faults["f"]
    bench.gate.replace(installed, attrs.evolve(rare, probability=1.0, every=3))
    assert installed.fired == 0
    bench.gate.replace(installed, attrs.evolve(rare, probability=1.0))
    assert (installed.fired, list(installed.hits)) == (1, [0])
