"""The SMTP codecs: commands, messages, chunks, dialogues, replies of several lines, answers."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import LimitError, ProtocolError
from rascal.wire.smtp import PROTOCOL
from rascal.wire.smtp_errors import ERRORS
from rascal.wire.smtp_replies import without_starttls
from rascal.wire.smtp_requests import address_of
from rascal.wire.smtp_session import RequestHead
from rascal.wire.types import HEAD_BYTES, ErrorCall, Head

GREETING = b"220 mx.example.org ESMTP Postfix\r\n"
MAIL = b"MAIL FROM:<eve@example.net> SIZE=40\r\n"
RCPT = b"RCPT TO:<ann@example.org>\r\n"
OK = b"250 2.1.0 Ok\r\n"
GO = b"354 End data with <CR><LF>.<CR><LF>\r\n"


def books(**options: Any) -> Books:
    return Books(PROTOCOL, **options)


def greeted(**options: Any) -> Books:
    these = books(**options)
    these.down(GREETING)
    return these


def writing(**options: Any) -> Books:
    """The server has said 354."""
    these = greeted(**options)
    these.up(MAIL + RCPT + b"DATA\r\n")
    these.down(OK + OK + GO)
    return these


def commands(these: Books) -> list[str]:
    return [message.head.command for message in these.requests]


def said(these: Books) -> list[tuple[str, bytes]]:
    return [(message.head.command, message.data) for message in these.replies]


# -- requests ----------------------------------------

LINES: list[tuple[bytes, dict[str, Any]]] = [
    (b"mail from:<Eve@example.net> SIZE=40 BODY=8BITMIME", {"sender": "Eve@example.net"}),
    (b"MAIL FROM: <eve@example.net>", {"sender": "eve@example.net", "size": None}),
    (b"MAIL FROM:eve@example.net SIZE=7", {"sender": "eve@example.net", "size": 7}),
    (b"MAIL FROM:<>", {"command": "MAIL", "sender": "", "recipient": None}),
    (b"MAIL FROM", {"sender": None}),
    (b"MAIL FROM:<a@b> XSIZE=9 SIZE=x", {"size": None}),
    (b"RCPT TO:<@relay.example,@b:ann@example.org> NOTIFY=NEVER", {"recipient": "ann@example.org"}),
    (b'RCPT TO:<"ann x"@example.org>', {"recipient": '"ann x"@example.org'}),
    (b"RCPT TO:<\xc3\xa4@example.org>", {"recipient": "ä@example.org"}),
    (b"EHLO client.example.net", {"command": "EHLO", "argument": "client.example.net"}),
    (b"AUTH PLAIN AGFubgBzZWNyZXQ=", {"command": "AUTH", "argument": "PLAIN"}),
    (b"BDAT 10", {"command": "BDAT", "size": 10}),
    (b"BDAT x", {"command": "BDAT", "size": None}),
    (b"VRFY ann", {"command": "VRFY", "argument": "ann", "sender": None}),
    (b"", {"command": None, "argument": None}),
    (b"  quit  ", {"command": "QUIT", "argument": None, "nonsense": None}),
]


@pytest.mark.parametrize(("line", "values"), LINES)
@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_fields(line: bytes, values: dict[str, Any], ending: bytes) -> None:
    these = greeted()
    (message,) = these.up(line + ending)
    assert {name: message.head.value(name) for name in values} == values
    assert message.data == line + ending
    assert message.ended == (values.get("size") is None or b"BDAT" not in line)


def test_sessions_are_not_numbered() -> None:
    these = greeted()
    for line in (b"EHLO x", b"HELO x", b"LHLO x", b"XCLIENT A=B", b"AUTH X", b"STARTTLS"):
        these.up(line + b"\r\n")
        these.down(b"250 x\r\n")
    assert these.counted == 0
    these.up(b"NOOP\r\nVRFY x\r\n")
    assert these.counted == 2


def test_whom_a_mail_is_from_and_to() -> None:
    these = greeted()
    these.up(MAIL + RCPT + b"RCPT TO:<nobody@example.org>\r\nDATA\r\n")
    mail, first, second, data = (message.head for message in these.requests)
    assert mail.value("sender") == first.value("sender") == "eve@example.net"
    assert (first.value("recipient"), second.value("recipient")) == (
        "ann@example.org",
        "nobody@example.org",
    )
    assert data.value("recipient") == ("ann@example.org", "nobody@example.org")
    assert data.value("size") == 40
    these.down(OK + OK + b"550 5.1.1 no\r\n" + GO)
    (message,) = these.up(b"hello\r\n")
    assert message.head.command == "MESSAGE"
    assert message.head.value("recipient") == "ann@example.org", "only who was accepted"
    assert message.head.value("sender") == "eve@example.net"
    assert message.head.value("size") == 40
    these.up(b".\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nRSET\r\nBDAT 0 LAST\r\n")
    assert these.requests[-1].head.value("recipient") is None


MESSAGES = [
    b".\r\n",
    b"\r\n.\r\n",
    b"x\r\n.\r\n",
    b"..\r\n..x\r\n.x\r\n.\r\n",
    b"a\n.\nb\r.\r\r\n.\n\n.\r\nc\r\n.\r\n",
    b"x" * 9000 + b"\r\n.\r\n",
]


@pytest.mark.parametrize("content", MESSAGES)
@pytest.mark.parametrize("bytes_each", [1, 2, 3, 5, 1 << 20])
def test_where_a_message_ends(content: bytes, bytes_each: int) -> None:
    these = writing()
    data = content + b"NOOP\r\n"
    these.up(*(data[at : at + bytes_each] for at in range(0, len(data), bytes_each)))
    assert commands(these)[-2:] == ["MESSAGE", "NOOP"]
    assert these.requests[-2].data == content
    assert len(these.requests[-2].marks) > 1, "its head comes before its end"
    assert these.outstanding == ["message", None] or list(these.outstanding) == ["message", None]


def test_every_cut_of_a_message() -> None:
    data = MAIL + b"x\r\n.\r\n"
    for place in range(len(data) + 1):
        these = writing()
        these.up(*cuts(data + b"NOOP\r\n", place))
        assert these.requests[-2].data == data
        assert these.requests[-2].ended


def test_bare_line_ends() -> None:
    these = greeted()
    these.up(b"DATA\n")
    these.down(GO)
    these.up(b"x\n.\nNOOP\n")
    assert commands(these) == ["DATA", "MESSAGE", "NOOP"]
    these = writing()
    these.up(b"x\n.\nNOOP\n")
    assert commands(these)[-1] == "MESSAGE"
    assert these.to_upstream.codec.under_way() == "message"


def test_a_message_streams() -> None:
    these = writing()
    (message,) = these.up(b"S")
    assert not message.ended
    assert these.to_upstream.codec.under_way() == "message"
    chunk = b"x" * 65536
    for _ in range(20):
        these.up(chunk)
    assert these.to_upstream.codec.undecided() == b""
    these.up(b"\r\n.\r\n")
    assert message.ended
    assert len(message.data) == 1 + 20 * 65536 + 5


def test_data_that_is_refused() -> None:
    these = greeted()
    these.up(b"DATA\r\n")
    assert these.to_upstream.codec.waiting
    these.up(b"RSET\r\nNOOP\r\n")
    assert commands(these) == ["DATA"]
    these.down(b"554 5.5.1 Error: no valid recipients\r\n")
    assert commands(these) == ["DATA", "RSET", "NOOP"]
    assert not these.to_upstream.codec.waiting


def test_data_that_the_proxy_refuses() -> None:
    these = greeted()
    these.up(b"DATA\r\n")
    these.outstanding.clear()
    PROTOCOL.rewinds(these.session, these.requests[0].head)
    these.up(b"RSET\r\n")
    assert commands(these) == ["DATA", "RSET"]


@pytest.mark.parametrize("skims", [False, True])
def test_too_much_behind_data(skims: bool) -> None:
    these = greeted(skims=skims)
    these.up(b"DATA\r\n" + b"x" * HEAD_BYTES)
    with pytest.raises(LimitError):
        these.up(b"xx")


def test_a_reply_to_what_was_kept_back_is_lost_sync() -> None:
    """The message left before the codec could tell what it is: its reply cannot be paired."""
    these = greeted()
    these.up(b"DATA\r\nx\r\n.\r\n")
    with pytest.raises(ProtocolError, match="must wait"):
        these.down(GO + b"250 2.0.0 Ok\r\n")


def test_chunks() -> None:
    these = greeted()
    these.up(
        MAIL + RCPT + b"BDAT 7\r\nRSET\r\n\nBDAT 5 LAST\r\n.\r\nx\rNOOP\r\nBDAT 0 LAST\r\nBDAT\r\n"
    )
    assert commands(these) == ["MAIL", "RCPT", "BDAT", "BDAT", "NOOP", "BDAT", "BDAT"]
    first, last = these.requests[2:4]
    assert first.data == b"BDAT 7\r\nRSET\r\n\n"
    assert last.data == b"BDAT 5 LAST\r\n.\r\nx\r"
    assert (first.head.last, last.head.last) == (False, True)
    assert first.head.value("recipient") == "ann@example.org"
    with pytest.raises(LimitError):
        these.up(b"BDAT 999999999999999999\r\n")


def test_dialogues() -> None:
    these = greeted()
    these.up(b"AUTH LOGIN\r\n")
    these.down(b"334 VXNlcm5hbWU6\r\n")
    these.up(b"YW5u\r\n")
    assert [m.head.dialogue for m in these.requests] == [False, True]
    these.down(b"334 UGFzc3dvcmQ6\r\n")
    (secret,) = these.up(b"c2VjcmV0\r\n")
    assert secret.head.command == "AUTH"
    assert secret.head.value("argument") is None, "passwords are shown to nobody"
    these.down(b"535 5.7.8 no\r\n")
    these.up(b"NOOP\r\n")
    assert commands(these) == ["AUTH", "AUTH", "AUTH", "NOOP"]
    assert [m.head.pivot for m in these.replies] == [False, True, True, False]


@pytest.mark.parametrize("skims", [False, True])
def test_tls_hides_messages(skims: bool) -> None:
    these = greeted(skims=skims)
    these.up(b"STARTTLS\r\n")
    these.down(b"220 2.0.0 Ready to start TLS\r\n")
    with pytest.raises(ProtocolError, match="STARTTLS"):
        these.up(b"\x16\x03\x01")
    assert these.to_upstream.codec.undecided() == b"\x16\x03\x01"
    these = greeted(skims=skims)
    with pytest.raises(ProtocolError, match="TLS"):
        these.up(b"\x16\x03\x01")
    these = greeted(skims=skims)
    these.up(b"STARTTLS\r\n")
    these.down(b"454 4.7.0 no\r\n")
    these.up(b"NOOP\r\n")
    assert len(these.outstanding) == 1


@pytest.mark.parametrize("skims", [False, True])
def test_long_lines(skims: bool) -> None:
    these = greeted(skims=skims)
    these.up(b"NOOP " + b"x" * (HEAD_BYTES - 6))
    with pytest.raises(LimitError):
        these.up(b"x")
    these = greeted(skims=skims)
    with pytest.raises(LimitError):
        these.down(b"250 " + b"x" * HEAD_BYTES)


def test_addresses() -> None:
    assert address_of(b"TO:<" + b"x" * 5000 + b">") == b"x" * 1000
    assert address_of(b"nonsense") is None


# -- replies ----------------------------------------


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_replies_of_several_lines(cut: str) -> None:
    reply = b"250-one\r\n250-\r\n250\r\n"
    for negotiate in (False, True):
        these = greeted(negotiate=negotiate)
        these.up(b"HELP\r\nNOOP\r\n")
        data = reply + b"451 4.7.1 later\r\n"
        these.down(*(bytewise(data) if cut == "bytewise" else [data]))
        _, first, second = these.replies
        assert (first.data, first.parts, first.marks) == (reply, [0, 9, 15], [250, 250, 250])
        assert first.head.value("text") == "one"
        assert (second.head.value("status"), second.head.value("enhanced")) == (451, "4.7.1")
        assert second.head.value("text") == "later"
        assert not these.outstanding


@pytest.mark.parametrize("line", [b"250-STARTTLS\r\n", b"250-starttls \n"])
def test_starttls_is_taken_out(line: bytes) -> None:
    before, after = b"250-mx\r\n250-PIPELINING\r\n", b"250 SIZE 1\r\n"
    these = greeted()
    these.up(b"EHLO x\r\n")
    these.down(*bytewise(before + line + after))
    reply = these.replies[-1]
    assert reply.marks == [250], "one piece, to be changed as a whole"
    assert PROTOCOL.rewrite_head(these.session, reply.head, reply.data) == before + after
    last = before + line.replace(b"-", b" ")
    assert without_starttls(last) == b"250-mx\r\n250 PIPELINING\r\n"
    assert without_starttls(b"250-mx\r\n250 SIZE\r\n") is None
    assert PROTOCOL.rewrites(these.options) == (False, True)
    assert not PROTOCOL.rewritten(these.session), "EHLO may come again"


def test_nothing_is_taken_out_of_other_replies() -> None:
    these = greeted()
    these.up(b"HELP\r\nEHLO x\r\n")
    these.down(b"214-x\r\n214 STARTTLS\r\n", b"502 STARTTLS\r\n")
    for reply in these.replies:
        assert PROTOCOL.rewrite_head(these.session, reply.head, reply.data) is None


def test_what_the_server_says_unasked() -> None:
    these = greeted()
    these.down(b"421-4.4.2 mx\r\n421 4.4.2 timeout exceeded\r\n")
    assert [m.head.push for m in these.replies] == [False, True]
    these = books()
    these.down(b"554-no\r\n554 service\r\n")
    assert not these.outstanding
    assert these.replies[0].head.push is False


@pytest.mark.parametrize("data", [b"hello\r\n", b"25 x\r\n", b"250x\r\n", b"\r\n", b"\x15\x03\n"])
@pytest.mark.parametrize("skims", [False, True])
def test_no_replies(data: bytes, skims: bool) -> None:
    these = books(skims=skims)
    with pytest.raises(ProtocolError):
        these.down(data)


def test_lmtp_answers_for_each_recipient() -> None:
    these = greeted()
    these.up(b"LHLO x\r\n" + MAIL + RCPT + RCPT + RCPT + b"DATA\r\n")
    these.down(b"250 x\r\n", OK + OK + b"550 no\r\n" + OK + GO)
    these.up(b"x\r\n.\r\nNOOP\r\n")
    answer = b"250 one\r\n452-two\r\n452 full\r\n"
    these.down(answer + b"250 2.0.0 Ok\r\n")
    assert said(these)[-2:] == [("250", answer), ("250", b"250 2.0.0 Ok\r\n")]
    assert not these.outstanding
    these.up(MAIL + RCPT + b"BDAT 0 LAST\r\n")
    these.down(OK + b"550 no\r\n554 5.5.1 none\r\n")
    assert not these.outstanding


def test_lmtp_answers_of_the_proxy() -> None:
    these = greeted()
    these.up(b"LHLO x\r\n" + MAIL + RCPT + RCPT + b"DATA\r\n")
    these.down(b"250 x\r\n", OK + OK + OK + GO)
    (message,) = these.up(b"x\r\n.\r\n")
    answer = PROTOCOL.answer(these.session, message.head, ErrorCall(ERRORS["spam"]))
    assert answer.reply == b"554 5.7.1 Message rejected as spam\r\n" * 2


# -- answers ----------------------------------------


def answered(name: str, head: Head, text: str | None = None, **extra: Any) -> tuple[bytes, bool]:
    spec = PROTOCOL.error(name)
    assert spec is not None
    these = greeted()
    answer = PROTOCOL.answer(these.session, head, ErrorCall(spec, text, extra))
    return answer.reply, answer.close


def test_errors_speak_of_their_request() -> None:
    head = RequestHead("RCPT", recipient=b"ann@example.org", sender=b"eve@example.net")
    reply, closes = answered("no_such_user", head)
    assert reply.startswith(b"550 5.1.1 <ann@example.org>: Recipient")
    assert not closes
    assert answered("service_unavailable", head) == (
        b"421 4.3.2 mx.example.org Service not available, closing transmission channel\r\n",
        True,
    )
    assert answered("bad_sequence", head)[0] == b"503 5.5.1 Error: need MAIL command\r\n"
    assert answered("greylisted", head, "wait\r\na bit", enhanced="5.0.0")[0] == (
        b"451 5.0.0 wait  a bit\r\n"
    )
    assert answered("greylisted", head, "", enhanced="none")[0] == b"451\r\n"


def test_errors_by_code() -> None:
    head = RequestHead("MAIL")
    assert answered("450", head)[0].startswith(b"450 Requested mail action")
    assert answered("451 4.7.1", head)[0].startswith(b"451 4.7.1 Greylisting")
    assert answered("452 4.9.9", head)[0].startswith(b"452 4.9.9 ")
    assert answered("421", head)[1]
    for name in ("250", "354", "999", "45", "451 2.0.0", "nonsense"):
        assert PROTOCOL.error(name) is None


def test_a_message_that_is_answered_ends_the_connection() -> None:
    """The upstream has said 354 and waits: only the end of the connection frees it."""
    head = RequestHead("MESSAGE", framing="message")
    assert answered("spam", head)[1]
    assert not PROTOCOL.drops_safely(head)
    assert PROTOCOL.drops_safely(RequestHead("BDAT"))
    these = writing()
    (message,) = these.up(b"x\r\n.\r\n")
    assert message.head.sent
    spam = ErrorCall(ERRORS["spam"])
    assert not PROTOCOL.answer(these.session, message.head, spam).close, "it has been taken"


def test_a_dialogue_that_is_answered_is_given_up() -> None:
    head = RequestHead("AUTH", dialogue=True, framing="auth")
    call = ErrorCall(ERRORS["auth_failed"])
    ((own, data),) = PROTOCOL.answer(greeted().session, head, call).upstream
    assert data == b"*\r\n"
    assert own.framing is None, "its reply decides nothing"
    assert not PROTOCOL.answer(greeted().session, RequestHead("AUTH"), call).upstream


def test_replacements() -> None:
    session = greeted().session

    def replaced(head: Head, **given: Any) -> bytes | None:
        options = PROTOCOL.replace_options.plain(given)
        return PROTOCOL.replacement(session, head, options)

    assert replaced(RequestHead("MESSAGE")) == b"250 2.0.0 Ok\r\n"
    assert replaced(RequestHead("RCPT"), status=450, text="no", enhanced="5.1.1") == (
        b"450 5.1.1 no\r\n"
    )
    assert replaced(RequestHead("DATA", framing="data"), status=354) is None
    assert replaced(RequestHead("STARTTLS", framing="starttls"), status=220) is None
    assert replaced(RequestHead("DATA", framing="data"), status=451) is not None


def test_half_replies_are_ended() -> None:
    head = RequestHead("EHLO")
    session = greeted().session
    assert PROTOCOL.terminate(session, head, 250, None) == b"250 \r\n"
    assert PROTOCOL.terminate(session, head, 250, ErrorCall(ERRORS["spam"])) is None


def test_what_may_be_sent_twice() -> None:
    assert PROTOCOL.repeats(RequestHead("RCPT"))
    assert not PROTOCOL.repeats(RequestHead("MESSAGE", framing="message"))
    assert not PROTOCOL.repeats(RequestHead("DATA", framing="data"))


def test_the_catalogue_is_sound() -> None:
    for name, spec in ERRORS.items():
        code = spec.code.split(" ")
        assert spec.name == name
        assert len(code) == 1 or code[1][0] == code[0][0]
        assert spec.closes == (code[0] == "421")


# -- real and made-up sessions ----------------------------------------

CAPTURES: dict[str, list[tuple[str, bytes]]] = {
    name: [(way, data.encode("latin-1")) for way, data in log]
    for name, log in json.loads(
        (pathlib.Path(__file__).parent / "captures" / "smtp.json").read_text()
    ).items()
}
"""What a socket by hand and Postfix 3.7.11 said to each other."""


def replay(these: Books, log: list[tuple[str, bytes]], *at: int) -> Books:
    for way, data in log:
        (these.up if way == "up" else these.down)(*cuts(data, *at))
    return these


def told(these: Books) -> list[Any]:
    return [
        [(message.head, message.data) for message in these.requests],
        [(message.head, message.data, message.parts) for message in these.replies],
    ]


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("negotiate", [False, True])
def test_real_sessions_pair(name: str, negotiate: bool) -> None:
    these = replay(books(negotiate=negotiate), CAPTURES[name])
    assert not these.outstanding
    assert all(m.ended for m in these.requests + these.replies)
    assert len(these.requests) + 1 == len(these.replies)
    assert not any(m.head.push for m in these.replies)
    wise = books(negotiate=negotiate)
    for way, data in CAPTURES[name]:
        (wise.up if way == "up" else wise.down)(*bytewise(data))
    assert told(wise) == told(these)
    for message, reply in zip(these.requests, these.replies[1:], strict=True):
        assert (message.head.command == "DATA" and reply.head.status == 354) == reply.head.pivot


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    at=st.lists(st.integers(0, 5000), max_size=6),
    negotiate=st.booleans(),
)
def test_skim_is_feed(name: str, at: list[int], negotiate: bool) -> None:
    fed = replay(books(negotiate=negotiate), CAPTURES[name])
    cut = replay(books(negotiate=negotiate), CAPTURES[name], *at)
    skimmed = replay(books(negotiate=negotiate, skims=True), CAPTURES[name], *at)
    assert told(cut) == told(fed)
    assert fed.place() == cut.place() == skimmed.place()
    assert bytes(fed.to_client.handed) == b"".join(d for w, d in CAPTURES[name] if w == "down")


COMMAND = st.sampled_from(
    (
        *(MAIL, RCPT, b"DATA\r\n", b"RSET\r\n", b"NOOP\n", b"BDAT 3\r\nabc"),
        *(b"BDAT 2 LAST\r\n\r\n", b"AUTH LOGIN\r\n", b"x\r\n.\r\n", b".\r\n", b"EHLO x\r\n"),
        *(b"LHLO x\r\n", b"STARTTLS\r\n"),
    )
)
REPLY = st.sampled_from(
    [OK, GO, b"334 x\r\n", b"550-5.1.1 a\r\n550 5.1.1 b\r\n", b"220 go\r\n", b"421 bye\r\n"]
)


@settings(max_examples=200, deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.lists(COMMAND, max_size=4), st.lists(REPLY, max_size=5)), max_size=5
    ),
    at=st.lists(st.integers(0, 500), max_size=6),
)
def test_made_up_traffic(turns: list[tuple[list[bytes], list[bytes]]], at: list[int]) -> None:
    log = [(way, b"".join(some)) for turn in turns for way, some in zip("ud", turn, strict=True)]
    log = [("up" if way == "u" else "down", data) for way, data in log]
    outcomes = []
    fed, skimmed = greeted(), greeted(skims=True)
    for these, places in ((fed, ()), (skimmed, ())):
        try:
            replay(these, log, *places)
        except ProtocolError as error:
            outcomes.append(error.detail)
        else:
            outcomes.append("")
    assert len(set(outcomes)) == 1
    assert fed.place() == skimmed.place() or outcomes[0]
    try:
        cut = replay(greeted(), log, *at)
    except ProtocolError:
        return
    if not outcomes[0]:
        assert [m.data for m in cut.requests] == [m.data for m in fed.requests]


EDITS = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 3), st.binary(max_size=3)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(CAPTURES)), edits=EDITS, skims=st.booleans())
def test_mutated_sessions_raise_nothing_else(
    name: str, edits: list[tuple[int, int, bytes]], skims: bool
) -> None:
    log = [(way, bytearray(data)) for way, data in CAPTURES[name]]
    size = sum(len(data) for _, data in log)
    for place, gone, new in edits:
        place %= size
        for _, data in log:
            if place < len(data):
                data[place : place + gone] = new
                break
            place -= len(data)
    try:
        replay(books(skims=skims), [(way, bytes(data)) for way, data in log])
    except ProtocolError:
        return


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), skims=st.booleans(), at=st.integers(0, 200))
def test_garbage_raises_nothing_else(data: bytes, skims: bool, at: int) -> None:
    for way in ("up", "down"):
        these = greeted(skims=skims)
        these.up(b"NOOP\r\n")
        try:
            (these.up if way == "up" else these.down)(*cuts(data, at))
        except ProtocolError:
            continue
