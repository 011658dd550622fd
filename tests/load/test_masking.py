"""Secrets do not get into samples, whole or cut off; what is harmless stays readable."""

import json
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import done

from rascal.load.masking import MASK, is_secret, mask_message, mask_text, mask_url
from rascal.load.recorder import Recorder
from rascal.load.samples import LENGTH
from rascal.load.types import Meters

SECRET = "hunter2hunter2"


SECRETS = (
    "password passwd user_password newPassword pwd pass secret client_secret token accessToken "
    "access_token csrf-token X-Auth-Token api_key apikey X-Api-Key apiKey authorization auth jwt "
    "session sessionid session_id JSESSIONID PHPSESSID sid otp pin cvv card_number cardNumber "
    "private_key signature X-Amz-Signature credentials refresh_token user[password]"
)
OTHERS = (
    "user name author authority page key keyboard passenger compass id order price spin shipping "
    "signal assign description q next_page side resident"
)


@pytest.mark.parametrize("name", SECRETS.split())
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_names_of_other_things(name: str) -> None:
    assert not is_secret(name)


HEADERS = [
    f"Authorization: Bearer {SECRET}",
    f"authorization:Basic {SECRET}==",
    f"Authorization: {SECRET}",
    f"Authorization: Digest username=me, response={SECRET}",
    f"Authorization: AWS4-HMAC-SHA256 Credential=x, Signature={SECRET}",
    f"Proxy-Authorization: Basic {SECRET}",
    f"Cookie: sid={SECRET}; theme=dark{SECRET}; {SECRET}x",
    f"Set-Cookie: sid={SECRET}; Path=/; HttpOnly",
    f"X-Api-Key: {SECRET}",
    f"X-Auth-Token: {SECRET}",
    f"X-Csrf-Token:  {SECRET}",
    f"Location: http://h/back?access_token={SECRET}&x=1",
    f"Referer: https://user:{SECRET}@h/",
    f"X-Api-Key: one\r\n two {SECRET}",
    f"X-Note: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{SECRET}.{SECRET}",
    f"X-Forwarded-Auth: bearer {SECRET}",
]


@pytest.mark.parametrize("line", HEADERS)
def test_headers(line: str) -> None:
    data = f"GET / HTTP/1.1\r\nHost: shop\r\n{line}\r\nAccept: text/html\r\n\r\n".encode()
    found = mask_message(data, LENGTH)
    assert SECRET not in found and MASK in found
    assert found.startswith("GET / HTTP/1.1\nHost: shop\n")
    assert "Accept: text/html" in found
    assert line.partition(":")[0] in found


def test_what_is_harmless_stays() -> None:
    data = (
        b"POST /cart?page=2&sort=price HTTP/1.1\r\nHost: shop:8080\r\n"
        b"Content-Type: application/json\r\nUser-Agent: rascal/1\r\n\r\n"
        b'{"item": 7, "note": "a=b & c", "tags": ["x", "y"]}'
    )
    assert mask_message(data, LENGTH) == data.decode().replace("\r\n", "\n")


BODIES = [
    ("application/json", '{"user": "ann", "password": "%s", "n": 1}'),
    ("application/json", '{"a": [{"token" : "%s"}], "n": 1}'),
    ("application/json", '{"password": "with \\" quote %s", "n": 1}'),
    ("application/json", '{"credentials": {"user": "x", "deep": ["}", "%s"]}, "n": 1}'),
    ("application/json", '{"tokens": ["]", "%s"], "n": 1}'),
    ("application/json", '{"pass\\u0077ord": "%s", "n": 1}'),
    ("application/json", '{"url": "http://h/?api_key=%s", "n": 1}'),
    ("text/plain", 'log {"password": "%s"} n 1'),
    ("application/x-www-form-urlencoded", "user=ann&password=%s&n=1"),
    ("application/x-www-form-urlencoded", "user%%5Bpassword%%5D=%s+x&n=1"),
    ("application/x-www-form-urlencoded", "password=two words %s&n=1"),
    ("application/xml", "<login><user>ann</user><password>%s</password><n>1</n></login>"),
    ("text/html", '<input type="hidden" name="csrf_token" value="%s"><p>n 1</p>'),
    ("text/html", "<input value='%s' name=authenticity_token><p>n 1</p>"),
    ("text/html", '<meta name="csrf-token" content="%s"><p>n 1</p>'),
    ("text/html", '<a href="/reset?token=%s&n=1">n 1</a>'),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_bodies(kind: str, body: str) -> None:
    data = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n{body % SECRET}".encode()
    found = mask_message(data, LENGTH)
    assert SECRET not in found and MASK in found
    assert "n" in found.rpartition(MASK)[2] and "1" in found.rpartition(MASK)[2]


def test_a_secret_number() -> None:
    assert mask_text('{"pin": 1234, "n": 1}') == f'{{"pin": "{MASK}", "n": 1}}'


def test_multipart() -> None:
    body = (
        '--xx\r\nContent-Disposition: form-data; name="password"\r\nContent-Type: text/plain\r\n'
        f"\r\n{SECRET}\r\nand {SECRET}\r\n--xx\r\n"
        'Content-Disposition: form-data; name="user"\r\n\r\nann\r\n--xx--'
    )
    head = "POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=xx\r\n\r\n"
    found = mask_message((head + body).encode(), LENGTH)
    assert SECRET not in found and "ann" in found


@pytest.mark.parametrize("sample", [*(f"{line}\r\n" for line in HEADERS), *BODIES])
def test_no_cut_lets_a_secret_through(sample: str | tuple[str, str]) -> None:
    """A message is cut somewhere, perhaps within a secret: never are four letters of it left."""
    if isinstance(sample, tuple):
        text = f"POST / HTTP/1.1\r\nContent-Type: {sample[0]}\r\n\r\n{sample[1] % SECRET}"
    else:
        text = f"GET / HTTP/1.1\r\n{sample}\r\n"
    data = text.encode()
    for size in range(len(data)):
        assert "hunt" not in mask_message(data, size), size


def test_urls() -> None:
    assert mask_url("http://h:8080/a?b=c") == "http://h:8080/a?b=c"
    assert mask_url(f"https://ann:{SECRET}@h/a") == f"https://ann:{MASK}@h/a"
    assert mask_url(f"/a?token={SECRET}&b=c#x") == f"/a?token={MASK}&b=c#x"
    assert mask_url(f"/a?next=/b?token={SECRET}&c=d") == f"/a?next=/b?token={MASK}&c=d"
    assert mask_url(f"/a?next=%2Fb&x=token={SECRET}") == f"/a?next=%2Fb&x=token={MASK}"
    assert mask_url("http://h:8080") == "http://h:8080"
    assert mask_url(f"http+unix://%2Frun%2Fx.sock/a?sid={SECRET}").endswith(f"a?sid={MASK}")


def test_bodies_that_are_no_text_are_named() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    assert mask_message(head + b"\x1f\x8b" + bytes(500), LENGTH).endswith("\n\n(502 bytes, gzip)")
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    found = mask_message(head + bytes(range(128, 256)) * 50, LENGTH)
    assert found.endswith("\n\n(6400 bytes that are no text)\n…")


@given(st.binary(max_size=400))
def test_any_bytes_can_be_masked(data: bytes) -> None:
    assert isinstance(mask_message(data, 300), str)


@given(st.text(max_size=300))
def test_any_text_can_be_masked_and_masking_twice_changes_nothing(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_a_masked_document_is_still_one(secret: object, other: object) -> None:
    text = json.dumps({"a": 1, "password": secret, "z": "end"})
    assert json.loads(mask_text(text)) == {"a": 1, "password": MASK, "z": "end"}
    json.loads(mask_text(json.dumps([other], ensure_ascii=False)))


HOSTILE = [
    "x", '"', '\\"', '"\\', '{"a":', '"password":', '"password":[', "=&", "a=", "token=", "<a ",
    "<input ", "<input name=", "://", "://a:", "://:@", " ", "\n", "eyJ", "eyJabcdefgh.",
    "bearer ", "name=\"", '"a" ', "&amp;", "-", "é",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("kind", ["multipart/form-data", "application/x-www-form-urlencoded"])
def test_nothing_takes_long(piece: str, kind: str) -> None:
    """The reactor waits for it: a careless pattern would take minutes here, this takes ms."""
    begin = process_time()
    head = f"POST / HTTP/1.1\r\nContent-Type: {kind}\r\n"
    text = piece * (60_000 // len(piece))
    mask_message(f"{head}\r\n{text}".encode(), 100_000)
    mask_message(f"{head}X-Thing: {text}\r\n\r\n".encode(), 100_000)
    assert process_time() - begin < 5


def test_a_sample_holds_no_secret() -> None:
    recorder = Recorder("17", "worker-1")
    failed = done(recorder, "login", 0.25, took=0.5, outcome="http_5xx", late=0.125)
    failed.detail = f"status 500 at /login?password={SECRET}"
    failed.attempts = 3
    recorder.sample(
        failed,
        "POST",
        f"http://h/login?token={SECRET}",
        f"POST /?token={SECRET} HTTP/1.1\r\nCookie: a={SECRET}\r\n\r\npass={SECRET}".encode(),
        f"HTTP/1.1 500 No\r\nSet-Cookie: s={SECRET}\r\n\r\n{{}}".encode(),
    )
    (sample,) = recorder.report(0, Meters()).samples
    assert SECRET not in repr(sample)
    assert (sample.flow, sample.outcome, sample.agent, sample.attempts, sample.second) == (
        "login",
        "http_5xx",
        "worker-1",
        3,
        0.25,
    )
    assert sample.took == 0.5 and sample.reply.startswith("HTTP/1.1 500 No\n")
