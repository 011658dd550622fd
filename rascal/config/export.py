"""A Configuration as the text of a proxies.ini that loads back to the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rascal.config.specs import Configuration, Installed, ProxySpec
from rascal.language import Address, quote, show, show_clause


def export(configuration: Configuration, *, secrets: bool = True) -> str:
    """The canonical text: one file, whatever was included, with the environment's values in it.

    Args:
        configuration: what is to be written.
        secrets: whether tokens are; without them only their roles are named in a comment.
    """
    service = ["[rascal]"]
    for name, value in configuration.given.items():
        if name == "tokens" and not secrets:
            service.append(f"# tokens: {', '.join(token.role for token in value)}; not shown here")
        elif name == "tokens":
            service += _list(
                name, [f"{one.role} {one.secret} {one.name}".rstrip() for one in value]
            )
        else:
            service.append(f"{name} = {line_text(value)}")
    sections = [service] if len(service) > 1 else []
    for proxy in configuration.proxies.values():
        sections += proxy_sections(proxy)
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def proxy_sections(proxy: ProxySpec) -> list[list[str]]:
    """The lines of a proxy's section, and of the sections of what is installed on it.

    What is asked first stands in the proxy's own section, the rest follows in its order.
    """
    roulettes, faults, rest = _placed(proxy.installed)
    lines = [
        f"[proxy:{proxy.name}]",
        f"protocol = {proxy.protocol.name}",
        f"listen = {', '.join(_escape(str(address)) for address in proxy.listen)}",
        f"upstream = {_escape(str(proxy.upstream))}",
    ]
    for name, value in proxy.given.items():
        if name not in ("protocol", "listen", "upstream"):
            lines.append(f"{name} = {line_text(value)}")
    own = [_list("roulette", [show(one) for one in found.phrases]) for found in roulettes]
    if faults:
        listed = _list("faults", [fault.text for fault in faults])
        first = bool(roulettes) and proxy.installed[0] is roulettes[0]
        own.insert(1 if first else 0, listed)
    lines += [line for block in own for line in block]
    return [lines, *(list(_section(proxy.name, one)) for one in rest)]


def line_text(value: Any) -> str:
    """The text of an option's value on a line of its own."""
    if isinstance(value, tuple):
        return ", ".join(line_text(item) for item in value)
    if isinstance(value, Address):
        return _escape(str(value))
    if not isinstance(value, str):
        return _escape(show(value))
    plain = value == value.strip() and value and not (value[0] == value[-1] and value[0] in "\"'")
    return _escape(value if plain else quote(value))


def _placed(
    installed: tuple[Installed, ...],
) -> tuple[list[Installed], list[Installed], list[Installed]]:
    """The roulette and the faults of the proxy's section, and what gets sections."""
    rest = list(installed)
    roulettes: list[Installed] = []
    faults: list[Installed] = []
    if rest and _plain_roulette(rest[0]):
        roulettes.append(rest.pop(0))
    while rest and _sentence(rest[0]):
        faults.append(rest.pop(0))
    if rest and not roulettes and _plain_roulette(rest[0]):
        roulettes.append(rest.pop(0))
    return roulettes, faults, rest


def _sentence(installed: Installed) -> bool:
    """Whether a line of `faults =` says all of it."""
    return installed.form == "fault" or (installed.form == "recipe" and installed.enabled)


def _plain_roulette(installed: Installed) -> bool:
    return installed.form == "roulette" and installed.name == "roulette" and installed.enabled


def _section(proxy: str, installed: Installed) -> Iterator[str]:
    """The long form."""
    yield f"[{installed.form}:{proxy}/{installed.name}]"
    if installed.form in ("fault", "recipe"):
        phrase = installed.phrases[0]
        if installed.form == "fault":
            yield f"kind = {phrase.kind}"
        for name, value in phrase.options:
            yield f"{name} = {line_text(value)}"
        for name, value in phrase.clauses:
            yield f"{name} = {_escape(show_clause(name, value))}"
        if not installed.enabled:
            yield "enabled = no"
        return
    if not installed.enabled:
        yield "enabled = no"
    if installed.match:
        yield f"match = {_escape(show(installed.match))}"
    name = "steps" if installed.form == "script" else "faults"
    yield from _list(name, [show(phrase) for phrase in installed.phrases])


def _list(name: str, items: Iterable[str]) -> list[str]:
    return [f"{name} =", *(f"    {_escape(item)}" for item in items)]


def _escape(text: str) -> str:
    """A plain ${ is written $${ in a file."""
    return text.replace("${", "$${")
