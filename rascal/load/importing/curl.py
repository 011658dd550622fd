"""curl command lines, as browsers and documentation give them ("Copy as cURL").

Source: the manual page of curl 8. One command after another is one scenario.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import attrs

from rascal.errors import ConfigError, did_you_mean
from rascal.load.importing.steps import (
    Recorded,
    Recording,
    Step,
    flow_name,
    kept_headers,
    on_target,
    origin_of,
)

SHORT = {
    "X": "request", "H": "header", "d": "data", "G": "get", "I": "head", "u": "user",
    "b": "cookie", "A": "user-agent", "e": "referer", "L": "location", "F": "form",
    "T": "upload-file", "s": "silent", "S": "show-error", "v": "verbose", "i": "include",
    "k": "insecure", "f": "fail", "o": "output", "O": "remote-name", "m": "max-time",
    "w": "write-out", "c": "cookie-jar", "x": "proxy", "r": "range", "N": "no-buffer",
}  # fmt: skip
TAKES = frozenset(
    [
        "request",
        "header",
        "data",
        "data-raw",
        "data-ascii",
        "data-binary",
        "data-urlencode",
        "json",
        "user",
        "cookie",
        "user-agent",
        "referer",
        "form",
        "upload-file",
        "output",
        "max-time",
        "connect-timeout",
        "write-out",
        "cookie-jar",
        "proxy",
        "url",
        "url-query",
        "retry",
        "retry-delay",
        "retry-max-time",
        "cacert",
        "cert",
        "key",
        "resolve",
        "range",
        "ciphers",
        "max-redirs",
        "oauth2-bearer",
    ]
)
FLAGS = frozenset(
    [
        "get",
        "head",
        "location",
        "silent",
        "show-error",
        "verbose",
        "include",
        "insecure",
        "fail",
        "compressed",
        "remote-name",
        "http1.0",
        "http1.1",
        "http2",
        "http2-prior-knowledge",
        "http3",
        "no-keepalive",
        "globoff",
        "path-as-is",
        "progress-bar",
        "no-progress-meter",
        "no-buffer",
        "fail-with-body",
        "basic",
        "tlsv1.2",
        "tlsv1.3",
        "ipv4",
        "ipv6",
        "tcp-nodelay",
        "next",
        "anyauth",
        "digest",
    ]
)
BODIES = ("data", "data-raw", "data-ascii", "data-binary", "data-urlencode", "json")
UNUSED = {
    "form": "forms with files (-F)",
    "upload-file": "uploads (-T)",
    "proxy": "proxies (-x)",
    "digest": "digest authentication",
}


@attrs.define
class Command:
    """One curl command, taken apart."""

    line: int
    urls: list[str] = attrs.Factory(list)
    options: list[tuple[str, str]] = attrs.Factory(list)

    def last(self, name: str, default: str = "") -> str:
        """The value that counts if an option is given several times."""
        return next((v for k, v in reversed(self.options) if k == name), default)

    def has(self, name: str) -> bool:
        """Whether it is given at all."""
        return any(key == name for key, _ in self.options)


def read_curl(path: str, text: str) -> Recorded:
    """Read command lines; other lines are refused, empty lines and comments are not."""
    notes: list[str] = []
    commands = [_command(path, line, words) for line, words in _commands(path, text)]
    origins = Counter(origin_of(url) for one in commands for url in one.urls)
    target = origins.most_common(1)[0][0] if origins else ""
    steps = []
    for one in commands:
        if not one.urls:
            raise ConfigError("this curl command has no URL", path=path, line=one.line)
        used = [said for name, said in UNUSED.items() if one.has(name)]
        if used:
            notes.append(f"line {one.line}: {', '.join(used)} cannot be taken over")
            continue
        steps += [_step(path, one, url, target) for url in one.urls]
    name = "imported"
    found = (Recording(name=name, steps=tuple(steps)),)
    return Recorded(recordings=found, target=target, origin="curl commands", notes=tuple(notes))


def _commands(path: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line and words of each command; a backslash or caret joins lines."""
    began, held = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not held:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            began = number
        held += line
        if held.endswith(("\\", "^")) and not held.endswith("\\\\"):
            held = held[:-1] + " "
            continue
        try:
            words = shlex.split(held.strip().removeprefix("$ ").removesuffix(";"), comments=False)
        except ValueError:
            held += "\n"  # a quote is open: the body goes on in the next line
            continue
        held = ""
        yield began, words
    if held:
        raise ConfigError("a quote is not closed", path=path, line=began)


def _command(path: str, line: int, words: list[str]) -> Command:
    if words[:1] != ["curl"]:
        raise ConfigError(
            f"'{words[0] if words else ''}' is not a curl command: begin each with curl",
            path=path,
            line=line,
        )
    found = Command(line)
    rest = iter(_unfolded(words[1:]))
    for word in rest:
        if not word.startswith("--"):
            found.urls.append(word if "://" in word else f"http://{word}")
            continue
        name = word[2:]
        if name.startswith("next"):
            raise ConfigError("--next is not read: write two commands", path=path, line=line)
        if name in FLAGS:
            found.options.append((name, ""))
        elif name in TAKES:
            value = next(rest, None)
            if value is None:
                raise ConfigError(f"--{name} lacks its value", path=path, line=line)
            if name == "url":
                found.urls.append(value)
            else:
                found.options.append((name, value))
        else:
            raise ConfigError(
                f"curl's option '--{name}' is not read.{did_you_mean(name, TAKES | FLAGS)}",
                path=path,
                line=line,
            )
    return found


def _unfolded(words: list[str]) -> Iterator[str]:
    """Short options as long ones: -sXPOST is --silent --request POST."""
    for word in words:
        if not word.startswith("-") or word.startswith("--") or word == "-":
            yield word
            continue
        for at, letter in enumerate(word[1:], 2):
            name = SHORT.get(letter, letter)
            yield f"--{name}"
            if name in TAKES and word[at:]:
                yield word[at:]
                break
            if name in TAKES:
                break


def _step(path: str, one: Command, url: str, target: str) -> Step:
    headers = {}
    for value in (v for k, v in one.options if k == "header"):
        name, colon, content = value.partition(":")
        if not colon:
            continue  # "Name;" sends an empty header, "Name" alone nothing
        headers[name.strip()] = content.strip()
    if one.has("oauth2-bearer"):
        headers["Authorization"] = f"Bearer {one.last('oauth2-bearer')}"
    bodies = [(key, value) for key, value in one.options if key in BODIES]
    for key, value in bodies:
        if value.startswith("@") and key not in ("data-raw",):
            raise ConfigError(
                f"--{key} {value} reads a file: put its text into the command",
                path=path,
                line=one.line,
            )
    body: str | None = "&".join(_encoded(k, v) for k, v in bodies) if bodies else None
    for query in (v for k, v in one.options if k == "url-query"):
        url += ("&" if urlsplit(url).query else "?") + _encoded("data-urlencode", query)
    if one.has("get") and body is not None:
        url, body = f"{url}{'&' if '?' in url else '?'}{body}", None
    method = one.last("request") or (
        "HEAD" if one.has("head") else "POST" if body is not None else "GET"
    )
    given = any(key == "json" for key, _ in bodies)
    type_ = next((v for k, v in headers.items() if k.lower() == "content-type"), "")
    kept = kept_headers(headers)
    json_, has_json, data = _body(body, "application/json" if given else type_)
    if has_json or isinstance(data, dict):
        kept = {name: value for name, value in kept.items() if name.lower() != "content-type"}
    elif data is not None and not type_:
        kept["Content-Type"] = "application/x-www-form-urlencoded"
    return Step(
        method=method.upper(),
        path=on_target(url, target),
        name=flow_name(method.upper(), url),
        headers=kept,
        json=json_,
        has_json=has_json,
        data=data,
        auth=one.last("user").partition(":")[0],
        redirects=one.has("location"),
    )


def _encoded(key: str, value: str) -> str:
    if key != "data-urlencode":
        return value
    name, equals, content = value.partition("=")
    return f"{name}={quote_plus(content)}" if equals and name else quote(content or value)


def _body(body: str | None, type_: str) -> tuple[Any, bool, Any]:
    """JSON and whether it is some, or the body as text."""
    if body is None:
        return None, False, None
    if "json" in type_:
        try:
            return json.loads(body), True, None
        except ValueError:
            return None, False, body
    return None, False, body
