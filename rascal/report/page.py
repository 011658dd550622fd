"""The page: one HTML file that needs nothing else, made of blocks.

A report is a `Page` of sections, and a section is a list of blocks: words, tiles, plots, tables,
messages. The template writes them with everything escaped. The page forbids itself all that it does
not bring along (a Content-Security-Policy with the digests of its style and its script), and can be
read without the script, which only shows values under the pointer.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import attrs

from rascal.report.plots import Drawing, Plot, draw
from rascal.report.ranges import Ranges
from rascal.report.tables import Table
from rascal.report.timeline import Timeline

if TYPE_CHECKING:
    from jinja2 import Template

Tone = Literal["", "good", "bad", "warn"]


@attrs.frozen
class Words:
    """Paragraphs."""

    paragraphs: Sequence[str]
    kind: str = "words"


@attrs.frozen
class Tile:
    """A number that matters, and what it is."""

    value: str
    title: str
    more: str = ""
    tone: Tone = ""


@attrs.frozen
class Tiles:
    """Several numbers side by side."""

    tiles: Sequence[Tile]
    kind: str = "tiles"


@attrs.frozen
class Note:
    """Something that the reader must not overlook."""

    text: str
    tone: Tone = "warn"


@attrs.frozen
class Notes:
    """Several of these."""

    notes: Sequence[Note]
    kind: str = "notes"


@attrs.frozen
class Plots:
    """Plots below each other; readings of those of one group move together."""

    plots: Sequence[Plot]
    group: str = ""
    kind: str = "plots"

    @property
    def drawings(self) -> list[Drawing]:
        """As the template needs them."""
        return [draw(one) for one in self.plots]


@attrs.frozen
class Grid:
    """A table."""

    table: Table
    kind: str = "grid"


@attrs.frozen
class Facts:
    """What is what: (name, text)."""

    facts: Sequence[tuple[str, str]]
    kind: str = "facts"


@attrs.frozen
class Code:
    """Lines to be typed, or a file."""

    text: str
    title: str = ""
    kind: str = "code"


@attrs.frozen
class Message:
    """Something long under a line that opens it: parts are (title, text)."""

    title: str
    label: str = ""
    more: str = ""
    parts: Sequence[tuple[str, str]] = ()


@attrs.frozen
class Messages:
    """Several of these."""

    messages: Sequence[Message]
    kind: str = "messages"


Block = Words | Tiles | Notes | Plots | Grid | Facts | Code | Messages | Timeline | Ranges


@attrs.frozen
class Section:
    """A part of the report, under a title of its own."""

    name: str
    """For links to it."""
    title: str
    blocks: Sequence[Block]
    note: str = ""


@attrs.frozen(kw_only=True)
class Badge:
    """One word on how it went, beside the title."""

    text: str
    tone: Tone = ""


@attrs.frozen(kw_only=True)
class Sign:
    """A little curve beside the headline, over a band: what happened, without a word."""

    path: str
    """In a box of 46 to 34; the band lies from 14 to 28."""
    tone: Tone = ""
    dashed: str = ""
    """A second path."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The answer in one word, with its sign: stands first of all."""

    word: str
    sign: Sign
    note: str = ""
    """Behind the word, small."""


@attrs.frozen(kw_only=True)
class Page:
    """A whole report."""

    title: str
    over: str = ""
    """Above the title, small: what kind of report."""
    under: str = ""
    """Below the title."""
    badges: Sequence[Badge] = ()
    verdicts: Sequence[Verdict] = ()
    """One, or two where two reports stand side by side."""
    headline: Sequence[str] = ()
    """What came out, in sentences; the first one is the largest."""
    tone: Tone = ""
    sections: Sequence[Section] = ()
    foot: Sequence[str] = ()

    @property
    def hatched(self) -> list[str]:
        """Colours that are needed as a hatching."""
        found: dict[str, None] = {}
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Plots | Timeline):
                    for plot in block.plots:
                        lines = (one for one in plot.lines if one.style == "hatch")
                        found |= dict.fromkeys(one.colour for one in lines)
        return list(found)


def render(page: Page) -> str:
    """The file."""
    style, script = _asset("page.css"), _asset("page.js")
    return _template().render(
        page=page,
        style=_raw(style),
        script=_raw(script),
        policy=(
            f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rascal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


@lru_cache
def _asset(name: str) -> str:
    return (files("rascal.report") / "templates" / name).read_text(encoding="utf-8").strip()


def _raw(text: str) -> Any:
    """Our own files only: they stand in the page as they are."""
    from markupsafe import Markup

    return Markup(text)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
