"""What all commands share that talk to a service: the client, the address of a fault, the errors.

    @click.command()
    @calling
    def reload(client: Client, json_: bool) -> None: …

adds --url and --json, makes the client, and ends the command with one clear line and the right
status when something is refused or nobody answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from rascal.cli.output import CANNOT, complain, leave, picture, say
from rascal.control.client import Client, Collection, FaultData, Refused, Unreachable
from rascal.errors import ConfigError, RascalError, did_you_mean, listed

UNREACHABLE = 3
REFUSES = 4
INTERRUPTED = 130

COLLECTIONS: tuple[Collection, ...] = ("faults", "scripts", "recipes")

AS_THINGS_ARE = (401, 403, 409, 412, 428, 429)
"""Well said, but refused; like all above 500."""


def calling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its client and its manners."""

    @click.option("--url", metavar="URL", help="Where the service is; RASCAL_URL without it.")
    @click.option("--json", "json_", is_flag=True, help="For programs: what the service answers.")
    @wraps(function)
    def run(url: str | None, **given: Any) -> None:
        with manners(), Client(url or click.get_current_context().meta.get("rascal.url")) as client:
            function(client, **given)

    return run


@contextmanager
def manners() -> Iterator[None]:
    """End the command with a line and a status for what goes wrong in here."""
    try:
        yield
    except Unreachable as error:
        complain(error)
        say("is rascal-proxy running there? (--url, RASCAL_URL)", err=True)
        leave(UNREACHABLE)
    except Refused as error:
        show_refusal(error)
        leave(REFUSES if error.status in AS_THINGS_ARE or error.status >= 500 else CANNOT)
    except RascalError as error:
        complain(error)
        leave(CANNOT)
    except KeyboardInterrupt:
        leave(INTERRUPTED)


def said(text: str, *pointers: str) -> str:
    """Remember a text that is sent, so that an error in it can be shown; gives it back."""
    context = click.get_current_context()
    known = context.meta.setdefault("rascal.said", {})
    known.update(dict.fromkeys(pointers or ("", "/text"), text))
    return text


def show_refusal(error: Refused) -> None:
    """Each finding, and where it is: in a file, or in the sentence."""
    known = click.get_current_context().meta.get("rascal.said", {})
    for one in error.errors:
        title = str(one.get("title") or error.title)
        parts = (one.get("path"), one.get("line"), one.get("column")) if one.get("path") else ()
        where = ":".join(str(part) for part in parts if part)
        shown = f"{where}: {title}" if where else title
        say(f"{click.style('error:', fg='red', bold=True)} {shown}", err=True)
        text = known.get(one.get("pointer") or "")
        if text and one.get("column"):
            say(picture(text, int(one["column"]), title), err=True)
    if error.detail:
        say(error.detail, err=True)


# ---- addresses


def address(words: Sequence[str], what: str = "fault") -> tuple[str, str, list[str]]:
    """(proxy, name, the rest) of `db/slow …` or `db slow …`. Raises ConfigError."""
    if words and "/" in words[0]:
        proxy, _, name = words[0].partition("/")
        if proxy and name:
            return proxy, name, list(words[1:])
    elif len(words) > 1:
        return words[0], words[1], list(words[2:])
    raise ConfigError(f"name the {what}: PROXY/NAME or PROXY NAME")


def addresses(words: Sequence[str]) -> list[tuple[str, str]]:
    """All that `db/slow db/lost` or `db slow lost` name. Raises ConfigError."""
    if words and "/" not in words[0]:
        if len(words) < 2 or any("/" in word for word in words):
            address(words[:2] if "/" not in "".join(words[:2]) else ())
            raise ConfigError("name the faults: PROXY/NAME … or PROXY NAME …")
        return [(words[0], name) for name in words[1:]]
    return [address([word])[:2] for word in words] or [address(())[:2]]


def locate(client: Client, proxy: str, name: str) -> tuple[Collection, FaultData]:
    """In which collection a name is, and what it is. Raises ConfigError with all names."""
    for collection in COLLECTIONS:
        try:
            return collection, client.get(proxy, name, collection)
        except Refused as error:
            if error.status != 404 or error.title.startswith("there is no proxy"):
                raise
    names = [one for collection in COLLECTIONS for one in client.faults(proxy, collection)]
    raise ConfigError(
        f"{proxy} has no fault '{name}'; faults: {listed(names, f'rascal faults {proxy}')}."
        f"{did_you_mean(name, names)}".rstrip("."),
        option="fault",
        value=name,
        allowed=names,
        code="unknown-name",
    )


def owner(client: Client, proxy: str, name: str) -> tuple[Collection, FaultData]:
    """The same; the part of a recipe is refused as the service does it."""
    collection, found = locate(client, proxy, name)
    if found.get("recipe"):
        raise ConfigError(
            f"'{name}' belongs to the recipe '{found['recipe']}': name {proxy}/{found['recipe']}"
        )
    return collection, found
