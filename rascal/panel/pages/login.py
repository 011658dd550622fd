"""Logging in and out."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from rascal.control._problems import Problem
from rascal.control._site import address_of
from rascal.panel.site import Call, Panel, Redirect


def routes(panel: Panel) -> None:
    """Add the addresses."""
    panel.get("/login", _form, open_=True)
    panel.post_form("/login", _log_in)
    panel.api("POST", "/logout", _log_out)


def _form(call: Call) -> Any:
    if call.panel.door.open:
        return Redirect("/")
    return "login.html", {"title": "Log in", "wrong": ""}


def _log_in(call: Call) -> Any:
    call.request.content.seek(0)
    data = call.request.content.read(4096).decode("utf-8", "replace")
    token = (parse_qs(data).get("token") or [""])[0].strip()
    try:
        value, _ = call.panel.door.log_in(token, address_of(call.request))
    except Problem as problem:
        call.request.setResponseCode(problem.status)
        for name, text in problem.headers.items():
            call.request.setHeader(name.encode(), text.encode())
        return "login.html", {"title": "Log in", "wrong": problem.title}
    secure = bool(call.request.isSecure())
    call.request.setHeader(b"set-cookie", call.panel.door.cookie(value, secure=secure))
    return Redirect("/")


def _log_out(call: Call) -> None:
    call.panel.door.log_out(call.caller)
    call.request.setHeader(b"set-cookie", call.panel.door.cookie("", secure=False))
