"""One request to the API, as handlers see it: who calls, what for, with which body."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rascal.control._auth import Role
from rascal.control._json import loads
from rascal.control._problems import Problem, from_findings, unknown, wrong_member
from rascal.control._tags import check_match
from rascal.errors import ConfigError, did_you_mean

BODY = 64 * 1024
"""Bytes of a request's body; more is refused with 413."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


class Call:
    """A request whose caller has been let in.

    Attributes:
        node: what the API controls.
        registry: its vocabulary of protocols, kinds and recipes.
        role: what the caller may do.
        method: of HTTP.
    """

    def __init__(self, node: Any, registry: Any, request: Any, role: Role) -> None:
        self.node = node
        self.registry = registry
        self.role = role
        self.method: str = request.method.decode("ascii")
        self._request = request

    # ---- what is asked for

    def proxy(self, name: str) -> Any:
        """The proxy of that name. Raises Problem (404)."""
        found = self.node.proxies.get(name)
        if found is None:
            raise unknown("proxy", name, self.node.proxies)
        return found

    def query(self, *allowed: str) -> dict[str, str]:
        """The parameters after '?'. Raises Problem (422)."""
        found: dict[str, str] = {}
        for key, values in self._request.args.items():
            name = key.decode("utf-8", "replace")
            if name not in allowed:
                names = ", ".join(allowed) or "none"
                near = f".{did_you_mean(name, allowed)}".rstrip(".")
                raise Problem(
                    422,
                    "unknown-name",
                    f"there is no parameter '{name}'; parameters: {names}{near}",
                    parameter=name,
                    allowed=list(allowed),
                )
            if len(values) > 1:
                raise Problem(422, "given-twice", f"'{name}' is given twice", parameter=name)
            found[name] = values[0].decode("utf-8", "replace")
        return found

    def header(self, name: str) -> str:
        """A header of the request; empty if there is none."""
        value: bytes | None = self._request.getHeader(name.encode("ascii"))
        return "" if value is None else value.decode("latin-1")

    # ---- versions

    def version(self, number: int) -> str:
        """What an ETag says of something of that version: see rascal.control._tags."""
        return f"{self.node.boot}-{number}"

    def expect(self, number: int) -> None:
        """The caller's If-Match names this version. Raises Problem (412, 428)."""
        given = self._request.requestHeaders.getRawHeaders(b"if-match")
        needed = self.node.configuration.conditional == "required"
        check_match(given, self.version(number), needed)

    # ---- the body

    def body(self) -> Any:
        """The JSON that was sent. Raises Problem (415) or ConfigError."""
        self.check_type()
        return loads(self._content())

    def nothing(self) -> None:
        """There may be a body; it says nothing. Raises Problem."""
        self.check_type()
        if self._content().strip():
            self.members(loads(self._content()), ())

    def members(self, data: Any, allowed: Collection[str], what: str = "the request") -> Any:
        """The data, if it is an object with such members only. Raises Problem."""
        if not isinstance(data, dict):
            raise from_findings([ConfigError(f"{what} is an object", pointer="")])
        wrong = [wrong_member(name, allowed, what) for name in data if name not in allowed]
        if wrong:
            raise from_findings(wrong)
        return data

    def check_type(self) -> None:
        """Refuse what is not announced as JSON: other pages' forms cannot do that."""
        given = self._request.getHeader(b"content-type") or b""
        kind, _, parameters = given.decode("latin-1").partition(";")
        allowed = [JSON, MERGE_PATCH] if self.method == "PATCH" else [JSON]
        charset = parameters.strip().lower().replace('"', "")
        if kind.strip().lower() not in allowed or charset not in ("", "charset=utf-8"):
            title = f"say Content-Type: {JSON}"
            if given:
                title += f", not {given.decode('latin-1')[:80]}"
            raise Problem(
                415, "content-type", title, headers={"Accept": ", ".join(allowed)}, allowed=allowed
            )

    def _content(self) -> bytes:
        content = self._request.content
        content.seek(0)
        found: bytes = content.read()
        return found


def text_of(data: Mapping[str, Any], name: str, default: str, longest: int = 200) -> str:
    """A member that is a text on one line. Raises ConfigError."""
    value = data.get(name, default)
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise ConfigError(
            f"'{name}' is a text of at most {longest} characters on one line", pointer=f"/{name}"
        )
    return value


def flag_of(data: Mapping[str, Any], name: str) -> bool:
    """A member that is a boolean. Raises ConfigError."""
    value = data.get(name)
    if not isinstance(value, bool):
        code = "not-allowed" if name in data else "value-missing"
        raise ConfigError(
            f"'{name}' is a boolean", pointer=f"/{name}", allowed=("true", "false"), code=code
        )
    return value
