"""Recordings of others become scenarios: each is written, compiled, and its calls looked at."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.errors import ConfigError
from rascal.load.importing import read, scenario_text


def calls(text: str) -> list[tuple[str, list[Any], dict[str, Any]]]:
    """The calls of `user` in a scenario file: method, arguments, keywords (or source)."""

    def value(node: ast.AST) -> Any:
        try:
            return ast.literal_eval(node)
        except ValueError:
            return ast.unparse(node)

    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            call = node.value
            words = {one.arg or "": value(one.value) for one in call.keywords}
            found.append((ast.unparse(call.func), [value(one) for one in call.args], words))
    return found


def one(text: str, path: str = "x", **given: Any) -> tuple[str, list[Any], dict[str, Any]]:
    (found,) = calls(scenario_text(read(path, text, **given)))
    return found


# ---- curl


def test_a_plain_command() -> None:
    name, words, keywords = one("curl 'http://shop.test:8080/items/42?full=1'")
    assert (name, words) == ("user.get", ["/items/42?full=1"])
    assert keywords == {"name": "GET /items/{id}", "allow_redirects": False}


def test_what_a_browser_copies() -> None:
    text = """curl 'https://shop.test/api/cart' \\
  -H 'accept: */*' -H 'content-type: application/json' \\
  -H 'cookie: session=abc' -H 'sec-fetch-mode: cors' -H 'x-tenant: acme' \\
  --data-raw '{"item": 7,
 "note": "it'\\''s"}' \\
  --compressed -L
"""
    recorded = read("copied.txt", text)
    assert recorded.target == "https://shop.test"
    name, words, keywords = one(text)
    assert (name, words) == ("user.post", ["/api/cart"])
    assert keywords["json"] == {"item": 7, "note": "it's"}
    assert keywords["headers"] == {"x-tenant": "acme"}
    assert "allow_redirects" not in keywords


def test_forms_queries_methods() -> None:
    name, _, keywords = one("curl -d a=1 -d b=2 http://h/x")
    assert (name, keywords["data"]) == ("user.post", "'a=1&b=2'.encode()")
    assert keywords["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    _, words, _ = one("curl -G --data-urlencode 'q=a b&c' http://h/x")
    assert words == ["/x?q=a+b%26c"]
    assert one("curl -sXDELETE http://h/x")[0] == "user.delete"
    assert one("curl -I http://h/x")[0] == "user.head"
    assert one("curl -X PURGE http://h/x")[:2] == ("user.request", ["PURGE", "/x"])
    assert one("""curl --json '{"a": [1]}' http://h/x""")[2]["json"] == {"a": [1]}


def test_secrets_become_options() -> None:
    text = scenario_text(read("x", "curl -u jo:pass -H 'Authorization: Bearer s3cret' http://h/"))
    assert "s3cret" not in text and 'pass"' not in text
    assert 'authorization = Option("authorization", str, ""' in text
    assert 'auth=("jo", str(password))' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("curl --no-such http://h/", "x:1: curl's option '--no-such' is not read."),
        ("curl --dta a http://h/", "Did you mean 'data'?"),
        ("curl -X", "--request lacks its value"),
        ("curl -s", "no URL"),
        ("curl 'http://h/", "x:1: a quote is not closed"),
        ("curl http://h/\nwget http://h/", "x:2: 'wget' is not a curl command"),
        ("curl -d @file http://h/", "reads a file"),
        ("curl -F a=b http://h/", "no request in it that can be used: line 1: forms with files"),
        ("curl http://h/ --next http://h/2", "write two commands"),
        ("hello", "neither a HAR file nor an OpenAPI 3 description nor curl"),
    ],
)
def test_what_curl_commands_may_not_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read("x", text)
    assert message in str(caught.value)


# ---- HAR


def entry(url: str, at: float, took: float = 100, method: str = "GET", **more: Any) -> Any:
    request = {"method": method, "url": url, "headers": [], **more.pop("request", {})}
    return {
        "startedDateTime": f"2026-01-01T00:00:{at:06.3f}Z",
        "time": took,
        "request": request,
        "response": {"status": 200, "content": {"mimeType": "text/html"}},
        **more,
    }


def har(*entries: Any) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}})


def test_a_session_keeps_order_pauses_and_host() -> None:
    login = {"postData": {"mimeType": "application/x-www-form-urlencoded",
                          "params": [{"name": "user", "value": "jo"}]}}  # fmt: skip
    text = har(
        entry("https://shop.test/items/7#top", 4.1),
        entry("https://shop.test/", 1),
        entry("https://shop.test/logo.png", 1.1, _resourceType="image"),
        entry("https://ads.test/x", 1.2, _resourceType="xhr"),
        entry("https://shop.test/login", 1.15, method="POST", request=login),
    )
    recorded = read("session.har", text)
    assert recorded.target == "https://shop.test"
    found = calls(scenario_text(recorded))
    assert [(name, words) for name, words, _ in found] == [
        ("user.get", ["/"]),
        ("user.post", ["/login"]),
        ("user.think", ["2.8s"]),
        ("user.get", ["/items/7"]),
    ]
    assert found[1][2]["data"] == {"user": "jo"}
    assert recorded.notes == (
        "left out: 1 images, styles, scripts and the like",
        "left out: 1 requests to https://ads.test",
    )
    assert len(read("session.har", text, everything=True).recordings[0].steps) == 5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"log": {}}', "s.har: this HAR file has no log.entries"),
        ('{"log": ', "s.har:1:9: this is not JSON"),
        (har(), "there is no request in it"),
        (har(entry("http://h/", 1) | {"startedDateTime": "noon"}), "'noon' is not a time"),
        ("[" * 100_000, "neither"),
        ('{"log":' * 100_000, "nested too deeply"),
    ],
)
def test_what_a_har_may_not_be(data: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read("s.har", data)
    assert message in str(caught.value)


# ---- OpenAPI

SHOP = """
openapi: 3.1.0
servers: [{url: 'https://{env}.shop.test/v2', variables: {env: {default: live}}}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  schemas:
    Item:
      type: object
      required: [name, tags, made]
      properties:
        name: {type: string, minLength: 6}
        tags: {type: array, items: {enum: [red, blue]}}
        made: {type: string, format: date, example: 2026-02-03}
        parent: {$ref: '#/components/schemas/Item'}
paths:
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer, minimum: 3}}]
    get:
      operationId: readItem
      summary: One item
      parameters:
        - {name: full, in: query, required: true, schema: {type: boolean}}
        - {name: page, in: query, schema: {type: integer}}
      responses: {200: {description: well}, 404: {description: none}}
    delete: {responses: {204: {description: gone}}}
  /items:
    post:
      security: [{key: []}]
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {201: {description: made}}
"""


def test_operations_become_scenarios() -> None:
    recorded = read("shop.yml", SHOP)
    assert recorded.target == "https://live.shop.test"
    (name, words, keywords) = one(SHOP)
    assert (name, words) == ("user.get", ["/v2/items/3?full=true"])
    assert keywords["name"] == "GET /v2/items/{id}"
    assert "reply.check(status=200)" in scenario_text(recorded)
    assert recorded.notes == (
        "left out: 1 DELETE (--method delete takes them)",
        "left out: 1 POST (--method post takes them)",
    )


def test_bodies_come_from_schemas() -> None:
    text = scenario_text(read("shop.yml", SHOP, methods=["post"]))
    name, words, keywords = calls(text)[1]
    assert (name, words) == ("user.post", ["/v2/items"])
    assert keywords["json"] == {"name": "textxx", "tags": ["red"], "made": "2026-02-03"}
    assert 'x_key = Option("x_key", str, ""' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openapi: 2.0\n", "not an OpenAPI 3"),
        ("openapi: 3.0.0\n", "has no paths"),
        ("openapi: 3.0.0\npaths: [\n", "a.yml:3: this is not YAML"),
        ("openapi: 3.0.0\npaths: {/: {$ref: '#/no'}}\n", "'#/no' leads nowhere"),
        ("openapi: 3.0.0\npaths: {/: {$ref: 'http://h/'}}\n", "leads out of this file"),
    ],
)
def test_what_a_description_may_not_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read("a.yml", text)
    assert message in str(caught.value)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match="'fetch' is not a method"):
        read("a.yml", SHOP, methods=["fetch"])


# ---- whatever stands in it

anything = st.text(max_size=20)


@given(anything, anything, anything, st.dictionaries(anything, anything, max_size=3))
def test_what_is_written_is_python_and_says_the_same(
    path: str, title: str, header: str, body: dict[str, str]
) -> None:
    request = {
        "headers": [{"name": "X-Thing", "value": header}],
        "postData": {"mimeType": "application/json", "text": json.dumps(body)},
    }
    found = entry("http://h/", 1, method="POST", request=request)
    found["request"]["url"] = "http://h/" + path.replace("#", "")
    data = json.loads(har(found))
    data["log"]["pages"] = [{"title": title}]
    text = scenario_text(read("a.har", json.dumps(data)))
    ((name, _, keywords),) = calls(text)
    assert name == "user.post"
    assert keywords["json"] == body
    assert keywords["headers"] == {"X-Thing": header}
