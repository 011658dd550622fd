"""A small vocabulary of protocols and kinds, so that these tests hang on no real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from rascal.config import Configuration, Registry, load
from rascal.options import Option, OptionTable
from rascal.wire.types import COMMON_FIELDS, Field, WireProtocol

Load = Callable[..., Configuration]


class Plain(WireProtocol):
    name = "tcp"
    title = "TCP"
    fields = COMMON_FIELDS[:1]
    messages = False

    def codecs(self, session: Any, ledger: Any) -> Any:
        raise NotImplementedError


class Sql(Plain):
    name = "mysql"
    fields = (
        *COMMON_FIELDS,
        Field("statement", "word", ""),
        Field("sql", "text", ""),
        Field("command", "word", ""),
    )
    options = OptionTable(Option("negotiate", "flag", "clear what hides messages", default=True))


class Keys(Plain):
    name = "redis"
    fields = (*COMMON_FIELDS, Field("command", "word", ""), Field("key", "text", ""))


class Pages(Plain):
    name = "http"
    fields = (*COMMON_FIELDS, Field("method", "word", ""), Field("path", "text", ""))
    options = OptionTable(Option("host", "text", "rewrite Host"))


KINDS = {
    "delay": OptionTable(Option("delay", "distribution", "how long", required=True)),
    "hang": OptionTable(),
    "empty": OptionTable(),
    "error": OptionTable(
        Option("error", "text", "which", required=True),
        Option("text", "text", "what it says"),
        Option("retry_after", "duration", "when", default=1.0),
    ),
    "lose_reply": OptionTable(Option("then", ("hang", "close", "reset"), "how", default="close")),
}


@attrs.frozen
class Spec:
    """What the fake builder makes."""

    name: str
    phrases: tuple[Any, ...]
    enabled: bool = True


def build(phrase: Any, protocol: WireProtocol, name: str) -> Spec:
    """Refuses what only a builder can see."""
    if phrase.option("error") == "nonsense":
        raise phrase.problem(f"{protocol.name} has no error 'nonsense'", "error")
    if phrase.clause("at") and phrase.kind == "hang":
        raise phrase.problem("hang strikes no such moment", "at")
    return Spec(name, (phrase,), phrase.clause("enabled", True))


REGISTRY = Registry(
    protocols={p.name: p for p in (Plain(), Sql(), Keys(), Pages())},
    kinds=lambda protocol: KINDS,
    recipes={"cold-cache": OptionTable(Option("strength", "percentage", ""))},
    fault=build,
    script=lambda phrases, match, protocol, name: Spec(name, phrases),
    roulette=lambda phrases, protocol, name: Spec(name, phrases),
    recipe=lambda phrase, protocol, name: (Spec(name, (phrase,)), Spec(f"{name}-b", (phrase,))),
)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return REGISTRY


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write files into a fresh folder, go there, and load the first of them."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, environ: dict[str, str] | None = None, **more: Any) -> Configuration:
        files = {"proxies.ini": text} | more.pop("files", {})
        for name, content in files.items():
            Path(name).parent.mkdir(exist_ok=True, parents=True)
            Path(name).write_text(content, encoding="utf-8")
        return load("proxies.ini", environ or {}, registry=REGISTRY, **more)

    return run
