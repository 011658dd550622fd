"""Take secrets out of HTTP messages that people are going to look at.

What goes: values of Authorization and Cookie headers and of any header, query parameter, form
field, JSON member, XML element or hidden field whose name says that it is a secret; bearer tokens,
JSON Web Tokens and passwords in URLs wherever they stand. Names stay: one sees what was sent.

The text may be cut off anywhere: a value that begins is masked to its end, or to the end of the
text. Nobody can know a secret that stands under a harmless name, in a path for instance.

The reactor waits meanwhile, so every pattern takes time in proportion to the text: a name begins
only where no name can go on from, or has a bound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
DATA_MASK = "(masked)"
"""In plans, where stars could be part of a value."""
_INSIDE = (
    "password", "passwd", "passphrase", "passwort", "secret", "token", "credential", "apikey",
    "accesskey", "privatekey", "signingkey", "sessionid", "sessid", "sessionkey",
    "authorization", "cardnumber", "securitycode",
)  # fmt: skip
"""Parts of names, without their separators."""
_WORDS = frozenset((
    "pass", "pwd", "pw", "auth", "sid", "session", "jwt", "otp", "totp", "pin", "cvv", "cvc",
    "signature", "sig", "bearer", "cookie", "csrf", "xsrf", "ssn", "iban", "nonce", "hmac",
))  # fmt: skip
"""Whole words of names."""
_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(\s*:[ \t]*)(.*)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,15}) +\S")
_NAME = re.compile(r"(?<![^\s&;?#=\"'<>,{}()])([^\s&;?#=\"'<>,{}()]++)=")
_VALUE = re.compile(r"[^\s&;\"'<>]+")
_JSON_NAME = re.compile(r'"((?:[^"\\]|\\.){0,100})"(\s{0,100}:\s{0,100})', re.DOTALL)
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|[^\s,\]}]+', re.DOTALL)
_XML = re.compile(r"<([A-Za-z_][\w:.-]*)((?:\s[^<>]*)?)>([^<]*)")
_INPUT = re.compile(r"<(?:input|meta)\b[^<>]*(?:>|\Z)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\b(name|id|value|content)(\s*=\s*)("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s>"']+)""",
    re.IGNORECASE,
)
_PART = re.compile(
    r'(Content-Disposition:[^\r\n]*?\bname="([^"\r\n]*)"[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)'
    r"(.*?)(?=\r?\n--|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_TOKEN = re.compile(r"\b(bearer|basic|digest|negotiate)( +)[\w.~+/=-]{6,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){0,4}")
_USER = re.compile(r"(://[^/\s:@\"'<>]*:)[^/\s@\"'<>]+(@)")
_CUT_USER = re.compile(r"(://[^/\s:@\"'<>]*:)[^/\s@\"'<>]*\Z")
_PORT = re.compile(r":[0-9]{0,5}\Z")


def is_secret(name: str) -> bool:
    """Whether a name says that its value is a secret."""
    words = [word.lower() for word in _SPLIT.split(name) if word]
    if not _WORDS.isdisjoint(words):
        return True
    whole = "".join(words)
    return any(part in whole for part in _INSIDE)


def hidden(values: Mapping[str, str]) -> dict[str, str]:
    """Names and values, such that no secret is left in them."""
    return {name: MASK if is_secret(name) else mask_text(text) for name, text in values.items()}


def mask_url(url: str) -> str:
    """A URL without passwords and secret parameters."""
    return mask_text(url)


def mask_message(data: bytes, limit: int) -> str:
    """An HTTP message, or its beginning, as text without secrets.

    Args:
        data: head and body, the body without transfer coding.
        limit: bytes that are looked at.
    """
    cut = data[:limit]
    head, blank, body = cut.partition(b"\r\n\r\n")
    if not blank:
        head, blank, body = cut.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    text = mask_head(lines)
    if body:
        text += "\n\n" + mask_body(body, _types(lines), len(data) - len(head) - len(blank))
    return text + ("\n…" if len(data) > limit else "")


def mask_head(lines: list[str]) -> str:
    """Request or status line and headers."""
    found = [mask_text(lines[0])]
    secret = False
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):  # continues the header above
            found.append(f" {MASK}" if secret else mask_text(line))
            continue
        parsed = _HEADER.fullmatch(line)
        if not parsed:
            secret = False
            found.append(mask_text(line))
            continue
        name, colon, value = parsed.groups()
        masked = _mask_header(name, value)
        secret = masked is not None
        found.append(f"{name}{colon}{mask_text(value) if masked is None else masked}")
    return "\n".join(found)


def _mask_header(name: str, value: str) -> str | None:
    """The value of a secret header; None if it is none."""
    low = name.lower()
    if low == "cookie":
        return "; ".join(_mask_cookie(one) for one in value.split(";"))
    if low == "set-cookie":
        first, semicolon, rest = value.partition(";")
        return f"{_mask_cookie(first)}{semicolon}{mask_text(rest)}"
    if low == "www-authenticate" or not is_secret(name):
        return None
    scheme = _SCHEME.match(value)
    return f"{scheme[1]} {MASK}" if scheme else MASK


def _mask_cookie(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name.strip()}={MASK}" if equals else MASK


def _types(lines: list[str]) -> str:
    """Content type and coding, lower case."""
    wanted = ("content-type:", "content-encoding:")
    return " ".join(line.lower() for line in lines if line.lower().startswith(wanted))


def mask_body(body: bytes, types: str, size: int) -> str:
    """A body, by its type as far as it is known."""
    coded = re.search(r"content-encoding:\s*(?!identity)(\S+)", types)
    if coded:
        return f"({size} bytes, {coded[1]})"
    text = body.decode("utf-8", "replace")
    if "\0" in text or text.count("\ufffd") > max(2, len(text) // 20):
        return f"({size} bytes that are no text)"
    if "form-urlencoded" in types:
        return "&".join(_mask_field(one) for one in text.split("&"))
    if "multipart/" in types:
        text = _PART.sub(lambda part: part[1] + (MASK if is_secret(part[2]) else part[3]), text)
    return mask_text(text)


def _mask_field(field: str) -> str:
    name, equals, value = field.partition("=")
    if equals and is_secret(unquote_plus(name)):
        return f"{name}={MASK}"
    return name + equals + mask_text(value)


def mask_text(text: str) -> str:
    """Any text: URLs, query strings, JSON, XML in it."""
    text = _USER.sub(rf"\1{MASK}\2", text)
    cut = _CUT_USER.search(text)
    if cut and not _PORT.search(text):
        text = text[: cut.end(1)] + MASK
    text = _mask_json(text)
    text = _XML.sub(
        lambda tag: f"<{tag[1]}{tag[2]}>{MASK}" if tag[3] and is_secret(tag[1]) else tag[0], text
    )
    text = _INPUT.sub(lambda tag: _mask_input(tag[0]), text)
    text = _mask_pairs(text)
    text = _TOKEN.sub(rf"\1\2{MASK}", text)
    return _JWT.sub(MASK, text)


def _mask_input(tag: str) -> str:
    """A hidden field of a page, such as one against request forgery. One that is cut off may have
    its name behind."""
    found = _ATTRIBUTE.findall(tag)
    if tag.endswith(">") and not any(
        word.lower() in ("name", "id") and is_secret(text) for word, _, text in found
    ):
        return tag
    return _ATTRIBUTE.sub(
        lambda one: (
            f'{one[1]}{one[2]}"{MASK}"' if one[1].lower() in ("value", "content") else one[0]
        ),
        tag,
    )


def _mask_pairs(text: str) -> str:
    """Values behind secret names in query strings and their like, also in one within another."""
    found: list[str] = []
    done = 0
    for name in _NAME.finditer(text):
        if name.start() < done or not is_secret(unquote_plus(name[1])):
            continue
        value = _VALUE.match(text, name.end())
        if value:
            found.append(text[done : name.end()] + MASK)
            done = value.end()
    return "".join(found) + text[done:]


def _mask_json(text: str) -> str:
    """Values of secret members; whole objects and lists too. Works on what is cut off."""
    found: list[str] = []
    done = 0
    for name in _JSON_NAME.finditer(text):
        if name.start() < done:
            continue
        word = name[1]
        if "\\" in word:
            with suppress(ValueError):
                word = json.loads(f'"{word}"')
        if not is_secret(word):
            continue
        end = _json_end(text, name.end())
        if end > name.end():
            found.append(text[done : name.end()] + f'"{MASK}"')
            done = end
    return "".join(found) + text[done:]


def _json_end(text: str, at: int) -> int:
    """Where the value that begins at `at` ends."""
    if text[at : at + 1] not in ("{", "["):
        value = _JSON_VALUE.match(text, at)
        return value.end() if value else at
    depth = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            value = _JSON_VALUE.match(text, at)
            at = value.end() if value else len(text)
            continue
        depth += (char in "{[") - (char in "}]")
        at += 1
        if not depth:
            break
    return at


# ---- data of ours: plans, and what goes with them


def mask_data(value: Any) -> Any:
    """Plain data without strings whose names say that they are secrets."""
    if isinstance(value, Mapping):
        return {
            key: DATA_MASK if isinstance(one, str) and is_secret(str(key)) else mask_data(one)
            for key, one in value.items()
        }
    return [mask_data(one) for one in value] if isinstance(value, list | tuple) else value
