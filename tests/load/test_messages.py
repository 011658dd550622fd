"""Messages over a channel that loses, doubles and delays: each arrives once and in order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import CoordinationError
from rascal.load.messages import (
    RESEND_SECONDS,
    WINDOW,
    Forged,
    Inbox,
    Message,
    Outbox,
    Seal,
    add_words,
    entries,
)

TOKEN = "a token that is long enough"


@pytest.mark.parametrize("token", ["", TOKEN])
def test_a_seal_opens_where_it_was_made_for(token: str) -> None:
    seal = Seal(token)
    sealed = seal.close("to|s|i|4", b"body\x00\xff")
    assert seal.open("to|s|i|4", sealed) == b"body\x00\xff"
    assert seal.peek(sealed) == b"body\x00\xff"


def test_a_seal_is_good_for_one_place_token_and_domain() -> None:
    sealed = Seal(TOKEN).close("to|s|i|4", b"body")
    for seal, place, data in (
        (Seal(TOKEN), "to|s|i|5", sealed),
        (Seal(TOKEN), "to|s|i|4b", sealed[:-4] + b"ody"),
        (Seal("another token, long too"), "to|s|i|4", sealed),
        (Seal(TOKEN, "bundle"), "to|s|i|4", sealed),
        (Seal(TOKEN), "to|s|i|4", sealed[:-1]),
        (Seal(TOKEN), "to|s|i|4", b"-body"),
        (Seal(TOKEN), "to|s|i|4", b""),
        (Seal(""), "to|s|i|4", sealed),
        (Seal(""), "to|s|i|4", b""),
    ):
        with pytest.raises(Forged):
            seal.open(place, data)


def test_every_bit_of_a_sealed_message_counts() -> None:
    seal = Seal(TOKEN)
    sealed = seal.close("here", b"abc")
    for at in range(len(sealed)):
        for bit in range(8):
            broken = bytearray(sealed)
            broken[at] ^= 1 << bit
            with pytest.raises(Forged):
                seal.open("here", bytes(broken))


@given(
    st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()),
    st.binary(max_size=200),
)
def test_messages_come_back_equal(data: dict[str, object], payload: bytes) -> None:
    data.pop("kind", None)
    message = Message("report", data, payload)
    assert Message.decode(message.encode()) == message


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"kind": 3}', b"\xff", b"[" * 100_000, b"x" * (5 << 20)]
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(CoordinationError):
        Message.decode(body)


def test_an_entry_comes_back_out_of_a_stream() -> None:
    seal = Seal(TOKEN)
    words = add_words("key", seal, "to", "sess", "inst", (7, Message("stop").encode()))
    fields = [word if isinstance(word, bytes) else str(word).encode() for word in words[6:]]
    reply = [[b"key", [[b"5-0", fields], [b"6-0", [b"x", b"y"]], [b"7-0", None]]]]
    good, strange, deleted = entries(reply)
    assert good.open(seal, "to") == Message("stop")
    assert (good.session, good.instance, good.number, good.id) == ("sess", "inst", 7, b"5-0")
    assert (strange.number, strange.id, deleted.number) == (-1, b"6-0", -1)
    with pytest.raises(Forged):
        good.open(seal, "from")
    assert entries(None) == []


@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(0, 0.6))
@settings(max_examples=60)
def test_all_arrive_once_and_in_order_over_a_lossy_channel(
    seed: int, count: int, loss: float
) -> None:
    chance = random.Random(seed)
    outbox, inbox = Outbox(), Inbox()
    now, arrived, put = 0.0, [], 0
    wire: list[tuple[int, bytes]] = []
    for _ in range(5_000):
        now += 0.25
        while put < count and chance.random() < 0.5:
            outbox.put(Message("report", {"n": put}))
            put += 1
        if chance.random() < loss / 10:
            outbox.again()
        wire += [item for item in outbox.take(now) if chance.random() >= loss / 10]
        if chance.random() < loss / 5:
            wire.clear()  # Redis has lost its memory
        read = chance.randrange(20)
        for number, body in wire[:read]:
            if inbox.take(number):
                arrived.append(Message.decode(body).data["n"])
        if chance.random() >= loss / 5:  # else it is read again
            del wire[:read]
        if chance.random() >= loss:
            outbox.hear(inbox.heard, now)
        if put == count and outbox.empty:
            break
    assert arrived == list(range(count))
    assert outbox.empty


def test_only_a_window_is_under_way_and_it_is_sent_again_in_time() -> None:
    outbox = Outbox()
    for _ in range(WINDOW + 10):
        outbox.put(Message("report"))
    assert [number for number, _ in outbox.take(0.0)] == list(range(WINDOW))
    assert outbox.take(RESEND_SECONDS) == []
    outbox.hear(5, RESEND_SECONDS)
    assert [number for number, _ in outbox.take(RESEND_SECONDS)] == list(range(WINDOW, WINDOW + 5))
    assert len(outbox.take(2 * RESEND_SECONDS + 0.1)) == WINDOW
    outbox.again()
    assert len(outbox.take(2 * RESEND_SECONDS + 0.2)) == WINDOW


def test_what_was_put_after_a_quiet_time_is_sent_once() -> None:
    outbox = Outbox()
    outbox.put(Message("a"))
    assert len(outbox.take(0.0)) == 1
    outbox.hear(1, 0.5)
    outbox.put(Message("b"))
    assert len(outbox.take(100.0)) == 1
    assert outbox.take(101.0) == []


def test_a_full_outbox_drops_the_oldest_reports_and_nothing_else() -> None:
    outbox = Outbox(entries=3)
    outbox.put(Message("started"))
    for number in range(6):
        outbox.put(Message("report", {"n": number}, b"x" * 100))
    outbox.put(Message("ended"))
    kinds = [Message.decode(body) for _, body in outbox.take(0.0)]
    assert [one.kind for one in kinds] == ["started", *["gone"] * 3, *["report"] * 3, "ended"]
    assert [one.data["n"] for one in kinds if one.kind == "report"] == [3, 4, 5]
    assert outbox.gone == 3
    outbox.hear(8, 1.0)
    assert outbox.empty and outbox._held == 0 and outbox._reports == 0


def test_an_outbox_is_bounded_in_bytes_too() -> None:
    outbox = Outbox(size=10_000)
    for _ in range(100):
        outbox.put(Message("report", {}, b"x" * 1000))
    assert outbox._held < 11_000
    assert outbox.number == 100


def test_a_receiver_that_claims_too_much_is_not_believed() -> None:
    outbox = Outbox()
    outbox.put(Message("a"))
    outbox.hear(99, 0.0)
    assert outbox.heard == 1
    outbox.hear(-3, 0.0)
    assert outbox.put(Message("b")) == 1
