"""The OpenAPI document, and the API held to it by schemathesis with all its checks.

Two statuses are allowed beyond those that schemathesis expects of data that fit the schema: 422,
as no schema says what a sentence of the language is (`format: rascal-…`), and 412, as a random
If-Match names no version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asking import Asker
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from live import free_port, service

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 15
TOKEN = "the-token-of-these-tests"
INI = """\
# Held to its document.
[rascal]
control = 127.0.0.1:{control}
seed = 1
tokens = admin {token}

[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:9
faults =
    hang match command=DEL name slow
"""
SENTENCES = ["delay 2s", "20% error(OOM) match command=GET", "hang name h", "refuse", "lose_reply"]
FORMATS = {
    "rascal-fault": SENTENCES,
    "rascal-script": ["pass 2, error(OOM), pass", "hang", "pass"],
    "rascal-recipe": ["recipe cold-cache for 60s"],
    "rascal-duration": ["2s", "1m30s", "250ms"],
    "rascal-address": ["127.0.0.1:0", "[::1]:0", "127.0.0.1:7", "unix:/tmp/rascal-test.sock"],
}
for name, texts in FORMATS.items():
    schemathesis.openapi.format(name, st.sampled_from(texts))


def test_the_document_is_served(ask: Asker) -> None:
    for path in ("/openapi.json", "/api/v1/openapi.json"):
        found = ask("GET", path)
        assert found.status == 200
        assert found.json["openapi"] == "3.1.0"
        assert found.json["security"] == [{}, {"token": []}]
    assert "/api/v1/proxies/{proxy}/faults/{name}" in found.json["paths"]


def test_every_route_is_described(ask: Asker) -> None:
    found = ask("GET", "/openapi.json").json
    for path, methods in found["paths"].items():
        for method, one in methods.items():
            assert one["summary"], (method, path)
            assert one["summary"].endswith("."), (method, path)
            assert one["x-role"] in ("viewer", "operator", "admin")
    text = json.dumps(found)
    for name in found["components"]["schemas"]:
        if name not in ("Problem",):
            assert f'"#/components/schemas/{name}"' in text, name


# ---- schemathesis over a live service


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("openapi") / "proxies.ini"
    control = free_port()
    file.write_text(INI.format(control=control, token=TOKEN))
    with service(file, f"http://127.0.0.1:{control}") as client:
        yield client.url


def configured() -> Any:
    found = schemathesis.Config.from_dict(
        {
            "auth": {"openapi": {"token": {"bearer": TOKEN}}},
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": [
                        "2xx", "3xx", "401", "403", "404", "409", "412", "422", "429", "503",
                    ]
                },
                "negative_data_rejection": {
                    "expected-statuses": [
                        "400", "401", "403", "404", "405", "409", "412", "415", "422", "429",
                    ]
                },
            },
        }
    )  # fmt: skip
    return found


def described() -> Any:
    from rascal.control._openapi import described as made

    found = schemathesis.openapi.from_dict(made(), config=configured())

    @found.hook  # type: ignore[untyped-decorator]
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        """Mostly things that are there."""
        if path_parameters and len(str(path_parameters.get("proxy", "xxx"))) != 3:
            path_parameters["proxy"] = "cache"
        return path_parameters

    return found.exclude(path_regex="/events$")


@described().parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_api_is_as_documented(url: str, case: Any) -> None:
    case.call_and_validate(base_url=url, timeout=10)
