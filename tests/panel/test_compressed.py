"""Answers as gzip, for those who take it."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from twisted.web.test.requesthelper import DummyRequest

from rascal.panel.compressed import LEAST, MOST, compressed, shortened

TEXT = b"one kettle, " * 200


def asked(encodings: str | None, kind: str = "text/html; charset=utf-8") -> Any:
    request: Any = DummyRequest([b""])
    if encodings is not None:
        request.requestHeaders.setRawHeaders(b"accept-encoding", [encodings.encode()])
    request.setHeader(b"content-type", kind.encode())
    return request


def header(request: Any, name: bytes) -> bytes | None:
    found = request.responseHeaders.getRawHeaders(name)
    return found[0] if found else None


@pytest.mark.parametrize("encodings", ["gzip", "br, GZIP;q=0.5", "*", "gzip;q=1, deflate"])
def test_who_takes_gzip_gets_it(encodings: str) -> None:
    request = asked(encodings)
    data = compressed(request, TEXT)
    assert gzip.decompress(data) == TEXT
    assert len(data) < len(TEXT) / 5
    assert header(request, b"content-encoding") == b"gzip"
    assert header(request, b"vary") == b"accept-encoding"


@pytest.mark.parametrize("encodings", [None, "", "br", "gzip;q=0", "gzip; q=0.000", "xgzip"])
def test_who_does_not_gets_it_as_it_is(encodings: str | None) -> None:
    request = asked(encodings)
    assert compressed(request, TEXT) == TEXT
    assert header(request, b"content-encoding") is None
    assert header(request, b"vary") == b"accept-encoding"


def test_a_known_gzip_is_sent() -> None:
    short = shortened(TEXT, 9)
    assert compressed(asked("gzip"), TEXT, short) is short


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"x" * (LEAST - 1), "text/plain"),
        (b"x" * (MOST + 1), "text/plain"),
        (TEXT, "image/png"),
        (TEXT, "application/octet-stream"),
    ],
)
def test_what_would_not_gain_stays(data: bytes, kind: str) -> None:
    request = asked("gzip", kind)
    assert compressed(request, data) is data
    assert header(request, b"content-encoding") is None
