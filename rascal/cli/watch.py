"""`rascal watch`: traffic and faults, live.

On a terminal one table is redrawn in place; elsewhere each look is one line a proxy, for logs. It
outlives restarts of the service: while nobody answers it says so.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from rascal.cli.calling import calling
from rascal.cli.clauses import words_of
from rascal.cli.completing import proxy_names
from rascal.cli.lever import pulled
from rascal.cli.output import GAP, as_line, grid_lines, number, say
from rascal.cli.proxies import listening
from rascal.cli.screen import InPlace
from rascal.cli.script import Span
from rascal.control.client import Client, Refused, Unreachable

Look = dict[str, Any]


@click.command()
@click.argument("proxies", nargs=-1, shell_complete=proxy_names)
@click.option(
    "--every", type=Span(), default=1.0, metavar="TIME", help="Time between two looks (1s)."
)
@click.option("--times", type=click.IntRange(1), metavar="N", help="End after N looks.")
@calling
def watch(
    client: Client, proxies: tuple[str, ...], every: float, times: int | None, json_: bool
) -> None:
    """Show the traffic of PROXIES (of all) and what their faults do, until it is interrupted.

    On a terminal the table is redrawn in place, elsewhere there is a line for each proxy and look.
    With --json each look is a line. Rates are those since the look before.
    """
    for name in proxies:
        client.proxy(name)
    shown = _Screen() if sys.stdout.isatty() and not json_ else _Lines(json_)
    before: Look | None = None
    with shown.open():
        for count in _looks(every, times):
            try:
                now = look(client, proxies)
            except Unreachable as error:
                if not count:
                    raise
                shown.trouble(str(error))
                before = None
                continue
            shown.show(now, before)
            before = now


def _looks(every: float, times: int | None) -> Iterator[int]:
    """0, 1, …, that far apart."""
    count, due = 0, time.monotonic()
    while times is None or count < times:
        yield count
        count += 1
        if count == times:
            return
        due = max(due + every, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def look(client: Client, names: Sequence[str]) -> Look:
    """All that is shown, at one moment."""
    found = client.proxies()
    counters = client.counters()
    proxies: Look = {}
    for name in names or tuple(found):
        if name not in found or name not in counters:
            continue
        faults: Look = {}
        if found[name]["faults"]["installed"]:
            try:
                faults = {**client.faults(name), **client.faults(name, "scripts")}
            except Refused as error:  # the proxy has gone in between
                if error.status != 404:
                    raise
        proxies[name] = {"proxy": found[name], "counters": counters[name], "faults": faults}
    return {"at": time.time(), "panic": client.panic(), "proxies": proxies}


# ---- what is shown


def _rate(now: Look, before: Look | None, name: str, counter: str) -> float | None:
    if before is None or name not in before["proxies"]:
        return None
    seconds = now["at"] - before["at"]
    was, is_ = (one["proxies"][name]["counters"].get(counter) for one in (before, now))
    if was is None or is_ is None or seconds <= 0 or is_ < was:
        return None
    return float((is_ - was) / seconds)


def per_second(rate: float | None) -> str:
    """`12.5/s`."""
    if rate is None:
        return ""
    return f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s"


def bytes_per_second(rate: float | None) -> str:
    """`1.2 MB/s`."""
    if rate is None:
        return ""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if rate >= size:
            return f"{rate / size:.1f} {unit}/s"
    return f"{rate:.0f} B/s"


PROXY_TITLES = ("PROXY", "LISTENS", "OPEN", "NEW", "EXCHANGES", "RATE", "IN", "OUT")
FAULT_TITLES = ("FAULT", "ARMED", "IN WORDS", "MATCHED", "FIRED", "WAITING")


def lines_of(now: Look, before: Look | None, limit: int | None) -> list[str]:
    """The two tables."""
    found = []
    if now["panic"]["on"]:
        text = f"the panic lever is {pulled(now['panic'])}: rascal release"
        found += [click.style(text, fg="red", bold=True), ""]
    rows = [_proxy_row(name, now, before) for name in now["proxies"]]
    kept = [at for at, title in enumerate(PROXY_TITLES) if at < 7 or any(r[6] for r in rows)]
    kept = kept if any(row[6] for row in rows) else [at for at in kept if at < 6]
    titles = [PROXY_TITLES[at] for at in kept]
    rows = [[row[at] for at in kept] for row in rows]
    found += grid_lines(titles, rows, right=PROXY_TITLES[2:], limit=limit)
    faults = [
        _fault_row(name, one, before)
        for name, proxy in now["proxies"].items()
        for one in proxy["faults"].values()
    ]
    found.append("")
    if faults:
        right = FAULT_TITLES[3:]
        found += grid_lines(FAULT_TITLES, faults, right=right, give="IN WORDS", limit=limit)
    else:
        found.append("no fault is installed")
    return found


def _proxy_row(name: str, now: Look, before: Look | None) -> list[str]:
    one = now["proxies"][name]
    counters = one["counters"]
    return [
        name,
        listening(one["proxy"]),
        number(counters["open"]),
        per_second(_rate(now, before, name, "connections")),
        number(counters["exchanges"]),
        per_second(_rate(now, before, name, "exchanges")),
        bytes_per_second(_rate(now, before, name, "to_upstream")),
        bytes_per_second(_rate(now, before, name, "to_client")),
    ]


def _fault_row(proxy: str, one: Look, before: Look | None) -> list[str]:
    then = (before or {"proxies": {}})["proxies"].get(proxy, {}).get("faults", {})
    was = then.get(one["name"], {}).get("fired", one["fired"])
    more = one["fired"] - was
    return [
        f"{proxy}/{one['name']}",
        "yes" if one.get("armed") else "no",
        words_of(one),  # type: ignore[arg-type]  # the answer of the API
        number(one["matched"]),
        (f"+{number(more)} " if more > 0 else "") + number(one["fired"]),
        number(one["waiting"]),
    ]


class _Screen(InPlace):
    """Both tables under the time."""

    def show(self, now: Look, before: Look | None) -> None:
        columns = shutil.get_terminal_size().columns
        clock = time.strftime("%H:%M:%S", time.localtime(now["at"]))
        self.draw([f"{clock}  (ctrl-C ends it)", "", *lines_of(now, before, columns)])

    def trouble(self, text: str) -> None:
        self.draw([f"{time.strftime('%H:%M:%S')}  {text}"])


class _Lines:
    """A line for each proxy and look, or for each look as JSON."""

    def __init__(self, json_: bool) -> None:
        self._json = json_

    @contextmanager
    def open(self) -> Iterator[None]:
        yield

    def show(self, now: Look, before: Look | None) -> None:
        if self._json:
            as_line(now)
            return
        clock = time.strftime("%H:%M:%S", time.localtime(now["at"]))
        for name, one in now["proxies"].items():
            say(GAP.join([clock, name, *_facts(name, one, now, before)]))
        sys.stdout.flush()

    def trouble(self, text: str) -> None:
        say(f"{time.strftime('%H:%M:%S')}  {text}", err=True)


def _facts(name: str, one: Look, now: Look, before: Look | None) -> list[str]:
    counters = one["counters"]
    facts = [f"open {number(counters['open'])}", f"exchanges {number(counters['exchanges'])}"]
    rate = per_second(_rate(now, before, name, "exchanges"))
    facts += [rate] if rate else []
    for fault in one["faults"].values():
        if fault.get("armed") or fault["matched"]:
            text = f"{fault['name']} {number(fault['fired'])} of {number(fault['matched'])}"
            held = fault["waiting"]
            facts.append(text + (f" ({number(held)} waiting)" if held else ""))
    return facts
