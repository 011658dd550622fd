"""What `--once` prints of replies that no encoding fits."""

from __future__ import annotations

from types import SimpleNamespace

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
    assert "sets cookie \xff=\xe4" in said
    assert "hm" in said
