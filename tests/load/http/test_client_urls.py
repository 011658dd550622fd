"""Prepared requests: what a URL becomes, and what it cannot be."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.load.http.urls import REMEMBERED, Headers, Urls, flow_path, header_line


def urls(base: str = "", own: dict[bytes, bytes] | None = None) -> Urls:
    return Urls(base, Headers(own or {}), Headers({}))


@pytest.mark.parametrize(
    ("base", "url", "start", "host"),
    [
        ("http://a", "/x", "/x", "a"),
        ("http://a/", "x", "/x", "a"),
        ("http://a", "", "/", "a"),
        ("http://a", "/", "/", "a"),
        ("http://a/api", "/x", "/api/x", "a"),
        ("http://a/api/", "x?q=1", "/api/x?q=1", "a"),
        ("http://a/api", "?q=1", "/api?q=1", "a"),
        ("http://a", "?q=1", "/?q=1", "a"),
        ("http://a/api", "", "/api/", "a"),
        ("http://a/api", "http://b/x", "/x", "b"),
        ("http://a", "//b/x", "//b/x", "a"),
        ("http://a:80", "/", "/", "a"),
        ("http://a:8080", "/", "/", "a:8080"),
        ("https://a:443", "/", "/", "a"),
        ("https://a:80", "/", "/", "a:80"),
        ("http://A.Example", "/X", "/X", "a.example"),
        ("http://[::1]:8080", "/", "/", "[::1]:8080"),
        ("http://bücher.example", "/", "/", "xn--bcher-kva.example"),
        ("http://a", "/grüße?ü=ß", "/gr%C3%BC%C3%9Fe?%C3%BC=%C3%9F", "a"),
        ("http://a", "/a b", "/a%20b", "a"),
        ("http://a", "/a%20b", "/a%20b", "a"),
        ("http://a", "/x\r\nEvil: 1", "/x%0D%0AEvil:%201", "a"),
        ("http://a", "/x#part", "/x", "a"),
        ("http://a", "/x?u=http://b/", "/x?u=http://b/", "a"),
        ("http+unix://%2Frun%2Fx.sock", "/x", "/x", "localhost"),
        ("", "http+unix://%2Frun%2Fx.sock/x?q", "/x?q", "localhost"),
        ("", "http://a?q=1", "/?q=1", "a"),
    ],
)
def test_what_is_asked(base: str, url: str, start: str, host: str) -> None:
    template = urls(base).get("GET", url)
    assert template.data == f"GET {start} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/x",
        "ftp://a/",
        "http:///x",
        "http://a b/",
        "http://a:0x1/",
        "http://a:65536/",
        "http://[::1/",
        "http://a\r\nb/",
        "http+unix://x.sock/",
        "javascript://x",
        "http://-/",
        f"http://{'a' * 254}/",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host|socket"):
        urls().get("GET", url)


@given(st.text(max_size=40), st.sampled_from(["http://a/api", ""]))
def test_no_text_breaks_the_request_line(text: str, base: str) -> None:
    for url in (text, "/" + text, "http://b/" + text, "http://" + text):
        try:
            data = urls(base).get("GET", url).data
        except ValueError:
            continue
        lines = data.split(b"\r\n")
        if lines[2].startswith(b"Authorization: Basic "):  # user info
            assert b64decode(lines[2][21:], validate=True) is not None
            del lines[2]
        assert len(lines) == 4
        assert lines[0].count(b" ") == 2
        assert lines[0].startswith(b"GET /")
        assert lines[0].endswith(b" HTTP/1.1")
        assert lines[1].startswith(b"Host: ")
        assert lines[2:] == [b"", b""]
        assert data.isascii()


def test_user_info_is_not_part_of_the_host() -> None:
    template = urls().get("GET", "http://us%3Aer:pass@a/x")
    assert b"Host: a\r\nAuthorization: Basic dXM6ZXI6cGFzcw==\r\n" in template.data
    assert template.url == "http://a/x"


def test_bodyless_post_has_a_length() -> None:
    assert urls().get("POST", "http://a/").data.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-Length" not in urls().get("DELETE", "http://a/").data


def test_prepared_requests_are_remembered_within_bounds() -> None:
    one = urls("http://a")
    hot = one.get("GET", "/hot")
    for n in range(5 * REMEMBERED):
        one.get("GET", f"/{n}")
        assert one.get("GET", "/hot") is hot
    assert len(one._young) + len(one._old) <= 2 * REMEMBERED
    assert one.get("GET", "/0") is not None
    assert one.get("HEAD", "/hot").head_only


def test_origins_are_one_object_and_bounded() -> None:
    one = urls("http://a")
    base = one.base
    assert one.get("GET", "http://a/y").origin is base
    assert one.get("GET", "http://a:80/y").origin is base
    assert one.get("GET", "http://a:81/y").origin is not base
    for n in range(REMEMBERED + 10):
        one.get("GET", f"http://h{n}/")
    assert len(one._origins) <= REMEMBERED
    assert one.get("GET", "http://a/z").origin is base


def test_headers_for_the_base_stay_there() -> None:
    one = Urls("http://a", Headers({b"x": b"X: 1\r\n"}), Headers({}))
    assert b"X: 1" in one.get("GET", "/").data
    assert b"X: 1" not in one.get("GET", "http://b/").data
    first = one.get("GET", "/")
    assert b"X: 1" in one.redirected(first, "GET", b"/y").data
    assert b"X: 1" not in one.redirected(first, "GET", b"http://b/y").data
    assert b"X: 1" in one.redirected(one.get("GET", "http://b/"), "GET", b"http://a/").data


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        (b"/y", "http://a/y"),
        (b"y?q", "http://a/dir/y?q"),
        (b"../y", "http://a/y"),
        (b"?q", "http://a/dir/x?q"),
        (b"//b/y", "http://b/y"),
        (b"https://b:8443/y#z", "https://b:8443/y"),
        (b"/a b\xc3\xbc", "http://a/a%20b%C3%BC"),
    ],
)
def test_redirects_lead(location: bytes, leads: str) -> None:
    one = urls("http://a")
    assert one.redirected(one.get("GET", "/dir/x"), "GET", location).url == leads


@pytest.mark.parametrize(
    "location", [b"ftp://b/", b"http+unix://%2Fx/", b"http://:80/", b"javascript:x", b"file:///x"]
)
def test_redirects_that_lead_nowhere(location: bytes) -> None:
    one = urls("http://a")
    with pytest.raises(ValueError, match=r"URL|host|socket"):
        one.redirected(one.get("GET", "/"), "GET", location)


def test_redirects_of_a_socket() -> None:
    one = urls("http+unix://%2Frun%2Fx.sock")
    first = one.get("GET", "/dir/x")
    for location in (b"y", b"/dir/y", b"http://localhost/dir/y"):
        there = one.redirected(first, "GET", location)
        assert there.origin is first.origin
        assert there.path == "/dir/y"
    assert one.redirected(first, "GET", b"http://a/").origin.host == "a"
    with pytest.raises(ValueError, match="socket of this machine"):
        one.redirected(first, "GET", b"http+unix://%2Frun%2Fother/")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/items/17?x=1", "/items/*"),
        ("/items/17/parts/0012", "/items/*/parts/*"),
        ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/*"),
        ("/s/AbCdEfGhIjKlMnOpQrStUvWxYz0123", "/s/*"),
        ("/v2/catalogue", "/v2/catalogue"),
        ("/", "/"),
    ],
)
def test_names_of_flows(path: str, shown: str) -> None:
    assert flow_path(path) == shown


def test_header_lines() -> None:
    assert header_line("X-A", " b ") == (b"x-a", b"X-A: b\r\n")
    assert header_line(b"X-A", b"\xff") == (b"x-a", b"X-A: \xff\r\n")
    assert header_line("X-A", "ü") == (b"x-a", b"X-A: \xc3\xbc\r\n")
    for name, value in (("X A", ""), ("", ""), ("Ä", ""), ("X", "a\nb"), ("X", "a\0")):
        with pytest.raises(ValueError, match="header"):
            header_line(name, value)
