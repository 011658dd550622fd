"""A node's own control port shows browsers the faults part of the panel, and programs the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.web.test.requesthelper import DummyRequest

INI = """
[rascal]
control = 127.0.0.1:8474
{more}
[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:6379
faults =
    hang match key="</script>"
"""
SECRET = "let-me-in"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """pages(more lines of [rascal]) -> Pages of a node."""
    from rascal.config import difference, load
    from rascal.panel.alone import Pages
    from rascal.proxy.node import Node

    nodes = []

    def make(more: str = "") -> Any:
        file = tmp_path / "proxies.ini"
        file.write_text(INI.format(more=more))

        def read() -> Any:
            return load(str(file), {})

        node = Node(read(), Clock(), read=read, compare=difference)
        nodes.append(node)
        return Pages(node)

    yield make
    for node in nodes:
        node.hangups.close()


class _Request(DummyRequest):
    """As far as pages need one."""

    def getClientAddress(self) -> Any:  # noqa: N802  (Twisted's name)
        from twisted.internet.address import IPv4Address

        return IPv4Address("TCP", "127.0.0.1", 1)


def ask(pages: Any, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers, text."""
    request = _Request([])
    request.requestHeaders.setRawHeaders(b"host", [headers.pop("host", "127.0.0.1:8474").encode()])
    for name, value in headers.items():
        request.requestHeaders.setRawHeaders(name.replace("_", "-").encode(), [value.encode()])
    text = pages.answer(request, path).decode()
    found = {
        name.decode().lower(): values[-1].decode()
        for name, values in request.responseHeaders.getAllRawHeaders()
    }
    return request.responseCode or 200, found, text


def test_the_proxies_are_there_without_a_panel(made: Callable[..., Any]) -> None:
    status, headers, text = ask(made(), "")
    assert status == 200
    assert "trusted-types 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert 'href="/proxies/cache?node="' in text
    first = re.search(r'id="first">(.*?)</script>', text)
    assert first is not None
    faults = json.loads(first[1])["proxies"]["cache"]["faults"]
    assert faults["hang"]["text"] == 'hang match key="</script>"'


def test_what_others_have_named_stays_text(made: Callable[..., Any]) -> None:
    for path in ("", "proxies/cache"):
        text = ask(made(), path)[2]
        assert '</script>"' not in text and "</script>&#34;" not in text


def test_every_file_of_a_page_is_there(made: Callable[..., Any]) -> None:
    pages = made()
    text = ask(pages, "proxies/cache")[2]
    files = re.findall(r'(?:src|href)="/(static/[^"]+)"', text)
    assert len(files) > 5
    for path in files:
        status, headers, _ = ask(pages, path)
        assert status == 200 and "immutable" in headers["cache-control"], path
    assert ask(pages, "static/../alone.py")[0] == 404


def test_who_calls_it_by_another_name_gets_nothing(made: Callable[..., Any]) -> None:
    status, _, text = ask(made(), "", host="rascal.example")
    assert status == 403 and "cache" not in text
    assert ask(made(), "", sec_fetch_site="cross-site")[0] == 403


def test_with_tokens_a_page_holds_nothing(made: Callable[..., Any]) -> None:
    from rascal.config.tokens import hash_token

    pages = made(f"tokens = admin {hash_token(SECRET)}")
    for path in ("", "proxies"):
        status, _, text = ask(pages, path)
        assert status == 200 and 'content="locked"' in text
        assert "6379" not in text and "/proxies/cache" not in text
        assert 'id="first">{}</script>' in text
    assert ask(pages, "proxies/cache")[0] == ask(pages, "proxies/none")[0] == 200, "names tell"


def test_an_unknown_proxy_is_404(made: Callable[..., Any]) -> None:
    status, _, text = ask(made(), "proxies/none")
    assert status == 404 and "no proxy" in text


def test_programs_still_get_the_api(tmp_path: Path) -> None:
    from rascal.tap.proxy import NodePages

    pages = NodePages(None, None)
    request = _Request([])
    request.method = b"GET"
    assert pages(request, "") is None, "nobody asked for a page"
    assert pages(request, "proxies") is None, "nor here: this is an address of Toxiproxy's"
    request.requestHeaders.setRawHeaders(b"accept", [b"text/html,*/*"])
    assert pages(request, "api/v1/proxies") is None
    request.method = b"POST"
    assert pages(request, "") is None
