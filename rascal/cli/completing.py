"""What a shell is offered where a word is to be completed: names of what there really is.

Proxies and faults are asked of the service, with a time-out that nobody notices; kinds, options,
match fields and errors too, so that those of the service's own extensions are among them. Nobody
answering means no offers, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

SECONDS = 0.5
"""For each question to the service."""

Offers = Iterable[tuple[str, str]]
"""(word, help); a word that ends with a mark is not followed by a blank."""

OPEN = ("=", "~", "(", ",", "/")

typed: list[str] = []
"""The whole line's words so far, for options that concern an argument before them."""

CLAUSES = {
    "match": "which exchanges",
    "at": "the moment",
    "direction": "of bytes",
    "probability": "a share of what matches",
    "skip": "let the first N pass",
    "every": "each N-th",
    "count": "at most N times",
    "for": "so long",
    "enabled": "armed or not",
    "on_remove": "what becomes of what it holds",
    "name": "what it is called",
}

WORDS = {
    "at": ("connect", "greeting", "request", "reply", "during", "idle", "close"),
    "direction": ("to_upstream", "to_client", "both"),
    "enabled": ("yes", "no"),
    "on_remove": ("release", "close"),
    "per": ("exchange", "connection"),
}


@contextmanager
def _service(context: click.Context) -> Iterator[Any]:
    from rascal.control.client import Client

    url = context.params.get("url") or context.meta.get("rascal.url")
    parent = context.parent
    while url is None and parent is not None:
        url = parent.params.get("url")
        parent = parent.parent
    with Client(url, timeout=SECONDS) as client:
        yield client


def completer(
    offers: Callable[[Any, list[str], str], Offers],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """offers(client, words before, incomplete) as click wants it."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        given = context.params.get(parameter.name or "")
        before = [given] if isinstance(given, str) else list(given or ())
        other = context.params.get("proxy")
        if isinstance(other, str) and parameter.name != "proxy":
            before.insert(0, other)
        found: list[CompletionItem] = []
        with suppress(Exception), _service(context) as client:
            for word, text in offers(client, before, incomplete):
                if word.startswith(incomplete):
                    kind = "open" if word.endswith(OPEN) else "plain"
                    found.append(CompletionItem(word, kind, text))
        return found

    return complete


# ---- names


def _proxies(client: Any) -> Offers:
    for name, one in client.proxies().items():
        yield name, f"{one['protocol']} to {one['upstream']}"


def _faults(client: Any, proxy: str, prefix: str = "") -> Offers:
    for collection in ("faults", "scripts", "recipes"):
        for name, one in client.faults(proxy, collection).items():
            if not one.get("recipe"):
                yield prefix + name, one.get("text", "")


def _proxy_names(client: Any, before: list[str], incomplete: str) -> Offers:
    return _proxies(client)


def _fault_names(client: Any, before: list[str], incomplete: str) -> Offers:
    """PROXY/NAME, or PROXY and then NAMEs."""
    if before and "/" not in before[0]:
        yield from _faults(client, before[0])
    elif "/" in incomplete:
        proxy = incomplete.partition("/")[0]
        yield from _faults(client, proxy, f"{proxy}/")
    else:
        for name, text in _proxies(client):
            yield f"{name}/", text


def _one_fault(client: Any, before: list[str], incomplete: str) -> Offers:
    """The name of a fault, then its new sentence."""
    if not before or (len(before) == 1 and "/" not in before[0]):
        yield from _fault_names(client, before, incomplete)
        return
    proxy, rest = before[0].partition("/")[0], before[1 if "/" in before[0] else 2 :]
    yield from _sentence_of(client, proxy, rest, incomplete)


def _connections(client: Any, before: list[str], incomplete: str) -> Offers:
    if not before:
        yield from _proxies(client)
    else:
        for number, one in client.connections(before[0]).items():
            yield number, f"{one['client']}, {one['state']}"


# ---- sentences


def _sentence(client: Any, before: list[str], incomplete: str) -> Offers:
    if not before:
        return _proxies(client)
    return _sentence_of(client, before[0], before[1:], incomplete)


def _sentence_of(client: Any, proxy: str, words: list[str], incomplete: str) -> Offers:
    """What may follow in a sentence on this proxy."""
    protocol = client.protocol(client.proxy(proxy)["protocol"])
    yield from sentence_offers(protocol, words)


def sentence_offers(protocol: Mapping[str, Any], words: list[str], script: bool = False) -> Offers:
    """The next words: a kind, its options and errors, clauses, match fields.

    Args:
        protocol: as the API describes it.
        words: those before.
        script: it is a step.
    """
    words = " ".join(words).replace("(", " ").replace(")", " ").split()
    if script:  # only the last step counts
        cuts = [at for at, word in enumerate(words) if word.endswith(",")]
        words = words[cuts[-1] + 1 :] if cuts else words
    words = [word for at, word in enumerate(words) if at or not re.match(r"[0-9.]+%", word)]
    kinds = protocol["kinds"]
    if not words:
        yield from ((kind, facts.get("description", "")) for kind, facts in kinds.items())
        if script:
            yield "pass", "let it through"
        return
    last, options = words[-1], kinds.get(words[0], {}).get("properties", {})
    if last in ("match", "and", "not"):
        for name, field in protocol["fields"].items():
            yield f"{name}=", field["help"]
        if last != "not":
            yield "not", "turns one condition round"
    elif last in WORDS:
        yield from ((word, "") for word in WORDS[last])
    elif last not in ("skip", "every", "count", "for", "name", "probability"):
        in_clauses = any(word in CLAUSES for word in words)
        if words[0] == "error" and len(words) == 1:
            yield from ((name, one["help"]) for name, one in protocol["errors"].items())
        if not in_clauses:
            for name, option in options.items():
                yield f"{name}=", option.get("description", "")
        if "match" in words:
            yield "and", "a further condition"
        for name, text in CLAUSES.items():
            if name not in words and (not script or name in ("at", "count")):
                yield name, text


def _steps(client: Any, before: list[str], incomplete: str) -> Offers:
    if not before:
        yield from _proxies(client)
        return
    protocol = client.protocol(client.proxy(before[0])["protocol"])
    yield from sentence_offers(protocol, before[1:], script=True)


def _recipe(client: Any, before: list[str], incomplete: str) -> Offers:
    known = client.recipes()
    if not before:
        yield from ((name, one.get("summary", "")) for name, one in known.items())
    elif before[-1] == "on":
        yield from _proxies(client)
    else:
        options = known.get(before[0], {}).get("options", {}).get("properties", {})
        for name, option in options.items():
            yield f"{name}=", option.get("description", "")
        yield from (("on", "the proxy"), ("for", "so long"), ("name", "what it is called"))


def _match(client: Any, before: list[str], incomplete: str) -> Offers:
    known = client.proxies()
    proxy = next(name for word in typed if (name := word.partition("/")[0]) in known)
    protocol = client.protocol(known[proxy]["protocol"])
    yield from ((f"{name}=", field["help"]) for name, field in protocol["fields"].items())


def _protocols(client: Any, before: list[str], incomplete: str) -> Offers:
    return ((name, one["title"]) for name, one in client.protocols().items())


# ---- what needs no service


def _kinds(client: Any, before: list[str], incomplete: str) -> Offers:
    from rascal.config.describe import all_kinds

    return ((name, kind.summary) for name, kind in all_kinds().items())


def _recipes(client: Any, before: list[str], incomplete: str) -> Offers:
    from rascal.faults.recipes import RECIPES

    return ((name, recipe.summary) for name, recipe in RECIPES.items())


def _local_protocols(client: Any, before: list[str], incomplete: str) -> Offers:
    from rascal.config import installed

    return ((name, one.title) for name, one in installed().protocols.items())


proxy_names = completer(_proxy_names)
fault_names = completer(_fault_names)
one_fault = completer(_one_fault)
connection_numbers = completer(_connections)
sentences = completer(_sentence)
steps = completer(_steps)
recipe_words = completer(_recipe)
matches = completer(_match)
protocol_names = completer(_protocols)
kinds = completer(_kinds)
recipes = completer(_recipes)
local_protocols = completer(_local_protocols)
