"""What smtplib sees of faults in front of a real server, and what that server delivers."""

from __future__ import annotations

import re
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import Case, check, look, usable
from smtp_place import ANN, BOB, MAIL, SENDER, Mailer, Place, smtp_place

from rascal.wire.smtp_errors import ERRORS

SEEN = ("smtp", "smtplib")
TWO = (ANN, BOB)

CONNECT, SENDER_REFUSED, RECIPIENTS, DATA, LOGIN, RESPONSE, GONE = (
    smtplib.SMTPConnectError,
    smtplib.SMTPSenderRefused,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPDataError,
    smtplib.SMTPAuthenticationError,
    smtplib.SMTPResponseException,
    smtplib.SMTPServerDisconnected,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with smtp_place(tmp_path_factory.mktemp("smtp")) as place:
        yield place


@pytest.fixture
def place(whole: Place) -> Place:
    whole.node.clear()
    whole.mailer.anew()
    whole.delivered.mails.clear()
    return whole


def send(mailer: Mailer) -> Any:
    return mailer.send()


def send_two(mailer: Mailer) -> Any:
    return mailer.send(*TWO)


def log_in(mailer: Mailer) -> Any:
    return mailer.client.login("ann", "secret")


def start_tls(mailer: Mailer) -> Any:
    return mailer.client.docmd("STARTTLS")


def verify(mailer: Mailer) -> Any:
    return mailer.client.verify("ann")


def connect(mailer: Mailer) -> Any:
    return smtplib.SMTP("127.0.0.1", mailer.port, timeout=1)


def code(name: str) -> str:
    """As smtplib shows a refused recipient's reply."""
    return re.escape(ERRORS[name].code.replace(" ", ", b'"))


def _errors() -> Iterator[tuple[Case, int]]:
    """Every error of the catalogue; how many mails are delivered all the same."""
    for name, command in (("too_many_connections", ""), ("no_service", "")):
        text = ERRORS[name].code[:3]
        yield Case(name, f"error({name})", connect, CONNECT, text), 0
        sentence = f"error({name}) at greeting{command}"
        yield Case(name, sentence, connect, CONNECT, text), 0
    for name in ("starttls_required", "auth_required", "too_much_mail", "sender_domain_unknown"):
        sentence = f"error({name}) match command=MAIL"
        yield Case(name, sentence, send, SENDER_REFUSED, ERRORS[name].code[:3]), 0
    for name in ("sender_not_owned", "too_large", "nested_mail", "insufficient_storage"):
        sentence = f"error({name}) match command=MAIL"
        yield Case(name, sentence, send, SENDER_REFUSED, ERRORS[name].code[:3]), 0
    for name in ("bad_arguments", "unsupported_option", "unknown_command", "not_implemented"):
        sentence = f"error({name}) match command=MAIL"
        yield Case(name, sentence, send, SENDER_REFUSED, ERRORS[name].code[:3]), 0
    for name in ("service_unavailable", "timeout", "too_many_errors"):
        sentence = f"error({name}) match command=MAIL"
        yield Case(name, sentence, send, SENDER_REFUSED, "421", after="anew"), 0
    for name in ("greylisted", "mailbox_busy", "too_many_recipients", "no_such_user"):
        yield Case(name, f"error({name})", send, RECIPIENTS, code(name)), 0
    for name in ("user_not_local", "mailbox_full", "relay_denied", "client_blocked"):
        sentence = f"error({name}) match command=RCPT"
        yield Case(name, sentence, send, RECIPIENTS, code(name)), 0
    for name in ("local_error", "no_valid_recipients", "bad_sequence"):
        sentence = f"error({name}) match command=DATA"
        yield Case(name, sentence, send, DATA, ERRORS[name].code[:3]), 0
    for name in ("too_big", "content_rejected", "spam"):
        text = ERRORS[name].code[:3]
        yield Case(name, f"error({name})", send, DATA, text, after="anew"), 0
        yield Case(name, f"error({name}) at reply", send, DATA, text), 1
    for name in ("auth_failed", "auth_unavailable", "auth_too_weak", "encryption_required"):
        text = ERRORS[name].code[:3]
        yield Case(name, f"error({name}) match command=AUTH", log_in, LOGIN, text, fired=None), 0
    yield (
        Case(
            "starttls_unavailable",
            "error(starttls_unavailable) match command=STARTTLS",
            start_tls,
            (454, b"4.7.0 TLS not available due to local problem"),
        ),
        0,
    )


ERROR_CASES = list(_errors())


def test_every_error_is_here() -> None:
    assert {case.name for case, _ in ERROR_CASES} == set(ERRORS)


@pytest.mark.parametrize(("case", "mails"), ERROR_CASES, ids=[str(c) for c, _ in ERROR_CASES])
def test_errors(place: Place, seen: Callable[..., None], case: Case, mails: int) -> None:
    check(case, place.node, "mail", place.mailer, seen)
    assert len(place.delivered.mails) == mails
    if "command=DATA" in case.sentence:  # smtplib says no RSET here, and servers want one
        assert place.mailer.client.rset()[0] == 250
    assert place.mailer.send() == {}, "mail flows again"


OTHER_CASES = [
    # the final dot was accepted and never acknowledged
    (Case("lose_reply", "lose_reply(then=close) match command=MESSAGE", send, GONE, "", "anew"), 1),
    (
        Case(
            "lose_reply",
            "lose_reply(then=reset) match command=MESSAGE",
            send,
            GONE,
            "reset",
            "anew",
        ),
        1,
    ),
    (
        Case(
            "lose_reply",
            "lose_reply(then=hang) match command=MESSAGE",
            send,
            GONE,
            "timed out",
            "anew",
            took=(0.9, 5.0),
        ),
        1,
    ),
    (
        Case(
            "lose_request",
            "lose_request(then=close) match command=MESSAGE",
            send,
            GONE,
            "",
            "anew",
        ),
        0,
    ),
    (Case("close", "close match command=RCPT", send, GONE, "", "anew"), 0),
    (Case("reset", "reset match command=MAIL at reply", send, GONE, "reset", "anew"), 0),
    (Case("delay", "delay(80ms) match command=MESSAGE at reply", send, {}, took=(0.08, 2.0)), 1),
    (Case("delay", "delay(60ms) match recipient=ann@example.org", send, {}, fired=3), 1),
    (Case("delay", "delay(60ms) match size>=1B and command=MAIL", send, {}), 1),
    # the mail is lost without a word
    (Case("replace", "replace at request match command=MESSAGE", send, {}, "", "anew"), 0),
    (Case("replace", "replace(status=451) match command=MESSAGE", send, DATA, "451"), 1),
    (
        Case(
            "replace",
            "replace(status=252, text=perhaps) match command=VRFY",
            verify,
            (252, b"2.0.0 perhaps"),
        ),
        0,
    ),
    (
        Case(
            "error",
            'error(450, enhanced="5.1.1", text="ümlaut and a contradiction") match command=RCPT',
            send,
            RECIPIENTS,
            r"450, b'5\.1\.1",
        ),
        0,
    ),
    (
        Case(
            "truncate",
            "truncate(20B, then=close) match command=EHLO",
            lambda mailer: mailer.client.ehlo(),
            GONE,
            "",
            "anew",
        ),
        0,
    ),
    (Case("duplicate", "duplicate match command=RCPT", send, {}), 1),
]


@pytest.mark.parametrize(("case", "mails"), OTHER_CASES, ids=[str(c) for c, _ in OTHER_CASES])
def test_other_kinds(place: Place, seen: Callable[..., None], case: Case, mails: int) -> None:
    check(case, place.node, "mail", place.mailer, seen)
    assert len(place.delivered.mails) == mails
    if case.name == "duplicate":
        assert place.delivered.mails[0][1] == [ANN, ANN]
    assert place.mailer.send() == {}, "mail flows again"


def test_mails_arrive_as_they_were_sent(place: Place) -> None:
    """Dots are stuffed and unstuffed by the two sides alone."""
    mail = b"".join(b"." * (n % 4) + b"x" * (n % 70) + b"\r\n" for n in range(20_000))
    with place.node.fault("mail", "delay(1ms) match command=MESSAGE"):
        assert place.mailer.send(*TWO, mail=mail) == {}
    assert place.mailer.send(*TWO, mail=mail) == {}
    expected = (SENDER, list(TWO), mail)
    assert place.delivered.mails == [expected, expected]


def test_greylisting_once_for_each_recipient(place: Place, seen: Callable[..., None]) -> None:
    """The first try of one recipient is put off, the other is served, the second try passes."""
    with place.node.fault("mail", f"error(greylisted) match recipient={ANN} count 1") as fault:
        first = look(place.mailer.send, ANN, BOB)
        refused = first.value[ANN]
        second = look(place.mailer.send, ANN)
        seen("greylisted", fault.text, first, usable(place.mailer, None))
    assert refused == (451, b"4.7.1 Greylisting in action, please come back later")
    assert second.value == {}
    assert [mail[1] for mail in place.delivered.mails] == [[BOB], [ANN]]


def test_a_lost_final_dot_is_mail_twice(place: Place, seen: Callable[..., None]) -> None:
    with place.node.fault("mail", "lose_reply(then=reset) match command=MESSAGE count 1") as fault:
        sight = look(place.mailer.send)
        sight.raised(GONE)
        place.mailer.send()
        seen("lose_reply", fault.text, sight, "anew")
    assert len(place.delivered.mails) == 2


def test_a_script_over_connections(place: Place) -> None:
    outcomes = []
    steps = "pass, error(greylisted), error(no_such_user), lose_request(then=close)"
    with place.node.script("mail", steps, "command=RCPT", fired=3):
        for _ in range(4):
            sight = look(place.mailer.send)
            outcomes.append(type(sight.error).__name__)
    expected = ["NoneType", *["SMTPRecipientsRefused"] * 2, "SMTPServerDisconnected"]
    assert outcomes == expected


def test_a_wrong_password_is_the_servers_own(place: Place) -> None:
    """Dialogues pass; AUTH LOGIN has lines of its own."""
    with place.node.fault("mail", "delay(1ms) match command=AUTH", fired=None):
        assert place.mailer.client.login("ann", "secret")[0] == 235
        place.mailer.anew()
        client = place.mailer.client
        client.user, client.password = "ann", "secret"
        assert client.auth("LOGIN", client.auth_login)[0] == 235
        place.mailer.anew()
        client = place.mailer.client
        client.user, client.password = "ann", "wrong"
        sight = look(client.auth, "LOGIN", client.auth_login)
        sight.raised(LOGIN, "535")
        assert client.noop()[0] == 250
    assert place.mailer.send() == {}


def test_a_dialogue_that_breaks_off_leaves_both_sides_in_step(place: Place) -> None:
    """The password's line is refused; the server is told to give up, and mail flows."""
    client = place.mailer.client
    with place.node.fault("mail", "error(auth_failed) match command=AUTH skip 1 count 1"):
        assert client.docmd("AUTH", "LOGIN")[0] == 334
        assert client.docmd("YW5u")[0] == 535
    assert client.noop()[0] == 250
    assert client.sendmail(SENDER, [ANN], MAIL) == {}


def test_starttls_is_hidden(place: Place) -> None:
    assert not place.mailer.client.has_extn("starttls")
    assert place.mailer.client.has_extn("size")
    with pytest.raises(smtplib.SMTPNotSupportedError):
        place.mailer.client.starttls()


def test_starttls_makes_messages_invisible(place: Place, seen: Callable[..., None]) -> None:
    mailer = Mailer(place.node.port("open"))
    try:
        assert mailer.client.has_extn("starttls")
        context: ssl.SSLContext = place.trust
        mailer.client.host = mailer.client._host = "127.0.0.1"  # type: ignore[attr-defined]
        place.node.control.add("open", "error(spam) name blind")
        assert mailer.client.starttls(context=context)[0] == 220
        mailer.client.ehlo()
        assert mailer.send() == {}
        state = place.node.control.get("open", "blind")
        assert state["matched"] == 0
        assert "the client has chosen TLS (STARTTLS)" in place.node.log
        mailer.anew()
        with place.node.fault(
            "open", "error(starttls_unavailable) match command=STARTTLS"
        ) as fault:
            sight = look(mailer.client.starttls, context=context)
            sight.raised(RESPONSE, "454")
            seen("starttls_unavailable", fault.text, sight, usable(mailer))
    finally:
        mailer.close()


def test_pipelines(place: Place) -> None:
    """A group of commands: each reply is its own, the struck one's too."""
    client = place.mailer.client
    sock: Any = client.sock
    group = (
        b"MAIL FROM:<eve@example.net>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
    )
    with place.node.fault("mail", f"error(greylisted) match recipient={ANN} and command=RCPT"):
        sock.sendall(group + b"DATA\r\n")
        codes = [client.getreply()[0] for _ in range(4)]
    assert codes == [250, 451, 250, 354]
    sock.sendall(b"x\r\n.\r\nNOOP\r\n")
    assert [client.getreply()[0] for _ in range(2)] == [250, 250]
    assert [mail[1] for mail in place.delivered.mails] == [[BOB]]


def test_a_held_message_is_released(place: Place) -> None:
    done: list[Any] = []
    with place.node.fault("mail", "hang match command=MESSAGE at reply") as fault:
        mailer = place.mailer
        thread = threading.Thread(
            target=lambda: done.append(mailer.client.sendmail(SENDER, [ANN], MAIL))
        )
        mailer.client.sock.settimeout(20)  # type: ignore[union-attr]
        thread.start()
        fault.wait(waiting=1)
        assert len(place.delivered.mails) == 1
        fault.remove()
        thread.join(10)
    assert done == [{}]


def test_faults_come_and_go_while_mail_flows(place: Place) -> None:
    """In every state of a session: nothing is lost, doubled or taken for something else."""
    sent: list[bytes] = []
    failures: list[str] = []
    pause = threading.Event()
    port = place.node.port("mail")

    def send_on(number: int) -> None:
        mailer = Mailer(port)
        try:
            for n in range(60):
                mail = b"Subject: %d-%d\r\n\r\n.x\r\n" % (number, n) + (b"y" * 70 + b"\r\n") * n * 3
                assert mailer.send(*TWO, mail=mail) == {}
                sent.append(mail)
                if n % 20 == 19:
                    mailer.anew()
        except Exception as error:
            failures.append(repr(error))
        finally:
            mailer.close()

    threads = [threading.Thread(target=send_on, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    sentences = [
        "delay 2ms match command=MESSAGE",
        "delay 1ms at reply match command=DATA",
        "hang match command=RCPT for 10ms",
        "delay 1ms match status=354",
        "error(spam) match command=NOOP",
        "throttle 5MB/s",
    ]
    armed = 0
    while any(thread.is_alive() for thread in threads):
        with place.node.control.fault("mail", sentences[armed % len(sentences)]):
            pause.wait(0.003)
        armed += 1
    for thread in threads:
        thread.join()
    assert failures == []
    assert armed > 10
    mails = [mail for _, _, mail in place.delivered.mails]
    assert sorted(mails) == sorted(sent)
    assert len(sent) == 240
    assert "mail: not smtp" not in place.node.log
