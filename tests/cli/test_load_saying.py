"""What `--once` prints of replies that no encoding fits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.web.http_headers import Headers

from rascal.cli.load.saying import Teller


def test_headers_that_are_no_utf8_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    headers = Headers({b"set-cookie": [b"\xff=\xe4; Path=/"], b"content-type": [b"text/pl\xe4in"]})
    reply = SimpleNamespace(
        headers=headers, url="http://t/", code=200, _body=b"hm", body=b"hm", history=list,
        timings=SimpleNamespace(total=0.01, connect=0.0),
    )  # fmt: skip
    teller = Teller()
    teller.came(teller.sent("GET", "http://t/", {}), reply)
    said = capsys.readouterr().out
    assert "200" in said
    assert "sets cookie \xff=***" in said
    assert "hm" in said


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer hush-hush", "Cookie": "sid=hush-hush", "X-Shop": "acme"},
        {b"Authorization": [b"Bearer hush-hush"], b"X-Api-Token": b"hush-hush", b"X-Shop": b"acme"},
        Headers({b"Authorization": [b"Basic hush-hush"], b"X-Shop": [b"acme"]}),
        [("Authorization", "hush-hush"), ("X-Shop", "acme")],
    ],
    ids=["texts", "bytes", "Headers", "pairs"],
)
def test_secrets_are_masked(headers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    given = {
        "headers": headers,
        "params": {"token": "hush-hush", "page": "7"},
        "json": {"user": "ann", "password": "hush-hush", "pin": 4711},
        "data": b"user=ann&passwd=hush-hush",
    }
    call = teller.sent("POST", "http://ann:hush-hush@t/login?token=hush-hush&page=8", given)
    reply = SimpleNamespace(
        headers=Headers(
            {
                b"set-cookie": [b"session=hush-hush; Path=/"],
                b"content-type": [b"application/json"],
                b"location": [b"/home?access_token=hush-hush"],
            }
        ),
        url="http://t/home?access_token=hush-hush", code=200, history=list,
        _body=b"x", body=b'{"user": "ann", "access_token": "hush-hush"}',
        timings=SimpleNamespace(total=0.01, connect=0.0),
    )  # fmt: skip
    teller.came(call, reply)
    teller.failed(call, ValueError("POST http://t/?token=hush-hush: refused"))
    said = capsys.readouterr().out + str(teller.data())
    assert "hush" not in said
    assert "4711" not in said
    for seen in ("acme", "page=8", '"page": "7"', "user=ann", "sets cookie session=***", "refused"):
        assert seen in said
