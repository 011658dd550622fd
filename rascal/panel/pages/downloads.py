"""Reports and other files of a run, and of two experiments side by side."""

from __future__ import annotations

from functools import partial

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.panel.reports import TYPES, Reports, made, policy_of
from rascal.panel.site import Call, Panel, Raw

SHOWN = ("report.html",)
"""Shown in the browser, unless ?download is there."""


def routes(panel: Panel) -> None:
    """Add the addresses."""
    panel.reports = reports = Reports(panel)
    for name in TYPES:
        panel.get(f"/runs/<run>/{name}", partial(_file, reports, name))
    panel.get("/compare/report.html", partial(_compared, reports))


async def _file(reports: Reports, name: str, call: Call, run: str) -> Raw:
    which = await call.panel.runs.find(run)
    link = f"{call.panel.settings.url}runs/{which}/report.html"
    try:
        called, text = await reports.make(made, which, name, link)
    except Problem:
        raise
    except RascalError as error:
        raise Problem(409, "no-report", str(error)) from error
    return _raw(call, name, called, text)


async def _compared(reports: Reports, call: Call) -> Raw:
    """Two experiments: /compare/report.html?runs=12,17."""
    from rascal.panel.comparing import pair_page, wanted

    runs = await wanted(call, most=2)
    try:
        text = await reports.make(pair_page, *runs)
    except Problem:
        raise
    except RascalError as error:
        raise Problem(409, "no-report", str(error)) from error
    return _raw(call, "report.html", f"runs-{'-'.join(runs)}.html", text)


def _raw(call: Call, name: str, called: str, text: str) -> Raw:
    shown = name in SHOWN and "download" not in call.query
    headers = {
        "content-disposition": f'{"inline" if shown else "attachment"}; filename="{called}"',
        "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    if name == "report.html":
        headers["content-security-policy"] = policy_of(text)
        # A sandboxed page has no origin of its own to open or to be opened by.
        headers["cross-origin-opener-policy"] = "unsafe-none"
    return Raw(text.encode("utf-8", "replace"), TYPES[name], headers)
