"""`rascal proxy add|change|remove|enable|disable`: the proxies themselves."""

from __future__ import annotations

from typing import Any

import click

from rascal.cli.calling import calling, said
from rascal.cli.completing import protocol_names, proxy_names
from rascal.cli.output import as_json, many, say
from rascal.cli.proxies import faults_text, listening
from rascal.control.client import Client, ProxyData
from rascal.errors import ConfigError, did_you_mean

PLAIN = ("protocol", "listen", "upstream", "enabled")
"""Settings that every proxy has; the rest are options."""


@click.group()
def proxy() -> None:
    """Add, change, remove, enable and disable proxies, while traffic flows.

    What is done here is gone after a restart of the service: rascal export writes it down.
    """


@proxy.command()
@click.argument("name")
@click.argument("protocol", shell_complete=protocol_names)
@click.argument("listen")
@click.argument("upstream")
@click.argument("options", nargs=-1)
@click.option("--disabled", is_flag=True, help="Do not listen yet.")
@calling
def add(
    client: Client,
    name: str,
    protocol: str,
    listen: str,
    upstream: str,
    options: tuple[str, ...],
    disabled: bool,
    json_: bool,
) -> None:
    """Put proxy NAME between clients at LISTEN and the real thing at UPSTREAM.

    \b
    rascal proxy add jobs redis 127.0.0.1:6380 127.0.0.1:6379
    rascal proxy add db mysql 127.0.0.1:3307 db.internal:3306 connect_timeout=2s

    OPTIONS are NAME=VALUE, those of proxies.ini. LISTEN with port 0 takes a free port.
    """
    given: dict[str, Any] = _options(options)
    if disabled:
        given["enabled"] = False
    for pointer, text in (("/listen", listen), ("/upstream", upstream), ("/name", name)):
        said(text, pointer)
    _show(client.add_proxy(name, protocol, listen, upstream, **given), json_)


@proxy.command()
@click.argument("name", shell_complete=proxy_names)
@click.argument("options", nargs=-1, required=True)
@calling
def change(client: Client, name: str, options: tuple[str, ...], json_: bool) -> None:
    """Change OPTIONS of proxy NAME: upstream=10.0.0.5:3306, listen=…, connect_timeout=….

    Connections that need not change stay. NAME= sets an option back to its default.
    """
    words = {key: value or None for key, value in _options(options).items()}
    plain = [key for key in words if key in PLAIN or did_you_mean(key, PLAIN)]
    given: dict[str, Any] = {key: words.pop(key) for key in plain}
    if words:
        given["options"] = words
    _show(client.change_proxy(name, given), json_)


@proxy.command()
@click.argument("name", shell_complete=proxy_names)
@calling
def remove(client: Client, name: str, json_: bool) -> None:
    """Take proxy NAME away with all that is on it; its connections are closed."""
    gone = client.remove_proxy(name)
    if json_:
        as_json(gone)
        return
    ended, count = gone["connections"]["open"], gone["faults"]["installed"]
    say(f"{name}  removed, with {many(count, 'fault')} and {many(ended, 'connection')}")


@proxy.command()
@click.argument("name", shell_complete=proxy_names)
@calling
def enable(client: Client, name: str, json_: bool) -> None:
    """Let proxy NAME listen."""
    _show(client.enable_proxy(name, True), json_)


@proxy.command()
@click.argument("name", shell_complete=proxy_names)
@calling
def disable(client: Client, name: str, json_: bool) -> None:
    """Let proxy NAME listen no more, and end its connections: the dependency is down."""
    _show(client.enable_proxy(name, False), json_)


@proxy.command()
@click.argument("name", shell_complete=proxy_names)
@calling
def show(client: Client, name: str, json_: bool) -> None:
    """Show proxy NAME with its options."""
    found = client.proxy(name)
    _show(found, json_)
    if not json_:
        for key, value in found["options"].items():
            say(f"  {key} = {value}")


def _options(words: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE words. Raises ConfigError."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"'{word}' is no NAME=VALUE, such as connect_timeout=2s")
        place = name if name in PLAIN else f"options/{name}"
        found[name] = said(value, f"/{place}")
    return found


def _show(one: ProxyData, json_: bool) -> None:
    if json_:
        as_json(one)
        return
    where = listening(one)
    where = "does not listen" if where == "no" else f"listens on {where}"
    count = one["faults"]["installed"]
    more = f", faults: {faults_text(one)}" if count else ""
    say(f"{one['name']}  {one['protocol']}  {where}, upstream {one['upstream']}{more}")
