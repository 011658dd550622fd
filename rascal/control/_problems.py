"""What a request cannot have, as RFC 9457 problem objects (application/problem+json).

    {"type": "/problems/unit-missing", "title": "'2' has no unit: …", "status": 422,
     "pointer": "/options/delay", "allowed": ["us", "ms", …], "errors": [{…}, …]}

`errors` holds all findings of a request; the first of them also stands at the top. A `column`
counts the characters of the sentence that `pointer` leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rascal.errors import ConfigError, ConfigErrors, ControlError, RascalError, did_you_mean, listed

CONTENT_TYPE = "application/problem+json"

CONFLICTS = {"name-taken", "address-taken", "not-possible"}
"""Well said, but not to be had as things are."""

MALFORMED = "json-"
ALLOWED = 100
"""So many allowed values are named."""


class Problem(ControlError):
    """A request that ends with a problem object.

    Args:
        status: of HTTP.
        code: short stable name; the end of `type`.
        title: what is wrong and what is allowed, one line.
        detail: more, if there is.
        headers: of the answer.
        more: further members: pointer, allowed, errors, id.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, code, title, detail)
        self.headers = dict(headers or {})
        self.more = more

    def json(self) -> dict[str, Any]:
        """The problem object."""
        found: dict[str, Any] = {"type": f"/problems/{self.code}", "title": self.title}
        found["status"] = self.status
        if self.detail:
            found["detail"] = self.detail
        return found | {name: value for name, value in self.more.items() if value is not None}


def from_error(error: RascalError) -> Problem:
    """The problem that an error of the other parts is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ControlError):
        return Problem(error.status, error.code, error.title, error.detail)
    if isinstance(error, ConfigErrors):
        return from_findings(error.findings)
    if isinstance(error, ConfigError):
        return from_findings([error])
    code = type(error).__name__.removesuffix("Error").lower() or "refused"
    return Problem(409, code, str(error))


def from_findings(findings: Iterable[ConfigError]) -> Problem:
    """One problem for all findings of a request."""
    errors = [_finding(one) for one in findings]
    if not errors:
        return Problem(422, "not-allowed", "this cannot be done")
    first = errors[0]
    code = str(first["type"]).rpartition("/")[2]
    more = {name: value for name, value in first.items() if name not in ("type", "title")}
    return Problem(_status(errors), code, str(first["title"]), errors=errors, **more)


def _status(errors: list[dict[str, Any]]) -> int:
    codes = {str(one["type"]).rpartition("/")[2] for one in errors}
    if any(code.startswith(MALFORMED) for code in codes):
        return 400
    return 409 if codes <= CONFLICTS else 422


def _finding(error: ConfigError) -> dict[str, Any]:
    placed = bool(getattr(error, "text", True))  # of a JSON member that is no text: no column
    known = {
        "type": f"/problems/{error.code}",
        "title": error.message,
        "pointer": error.pointer,
        "line": error.line if placed else None,
        "column": error.column if placed else None,
        "path": error.path,
        "section": error.section,
        "option": error.option if error.path or error.section else None,
        "allowed": list(error.allowed)[:ALLOWED] or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def unknown(what: str, name: str, known: Iterable[str], command: str = "") -> Problem:
    """404: there is no such thing; what there is, and what is near."""
    names = list(known)
    near = f".{did_you_mean(name, names)}".rstrip(".")
    plural = {"proxy": "proxies"}.get(what, f"{what}s")
    return Problem(
        404,
        "unknown-name",
        f"there is no {what} '{name}'; {plural}: {listed(names, command)}{near}",
        allowed=names[:ALLOWED],
    )


def wrong_member(name: str, allowed: Iterable[str], what: str) -> ConfigError:
    """An object has a member that it may not have."""
    names = list(allowed)
    near = f".{did_you_mean(name, names)}".rstrip(".")
    return ConfigError(
        f"{what} has no member '{name}'; allowed: {', '.join(names)}{near}",
        pointer="/" + name.replace("~", "~0").replace("/", "~1"),
        allowed=names,
        code="unknown-name",
    )
