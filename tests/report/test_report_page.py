"""The page: everything is escaped, nothing comes from elsewhere, it forbids itself the rest."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from rascal.report.page import (
    Badge,
    Code,
    Facts,
    Grid,
    Message,
    Messages,
    Note,
    Notes,
    Page,
    Plots,
    Section,
    Tile,
    Tiles,
    Words,
    render,
)
from rascal.report.plots import COLOURS, Band, Limit, Line, Mark, Plot, over_time
from rascal.report.tables import Cell, table

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
VOID = {"meta", "br", "img", "link", "input"}


class Tags(HTMLParser):
    """What stands in a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)


def parsed(text: str) -> Tags:
    found = Tags()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def evil_page() -> Page:
    plot = Plot(
        title=EVIL,
        note=EVIL,
        across=over_time(2, 1),
        lines=[Line(name=EVIL, values=[1, 2]), Line(name="b", values=[None, 0], style="area")],
        text=lambda value: EVIL,
        bands=[Band(first=0, last=1, label=EVIL)],
        marks=[Mark(at=1, label=EVIL, text=EVIL)],
        limits=[Limit(value=1, text=EVIL)],
    )
    blocks = [
        Words((EVIL,)),
        Tiles((Tile(EVIL, EVIL, EVIL, "bad"),)),
        Notes((Note(EVIL),)),
        Plots((plot, plot), EVIL),
        Grid(table((EVIL, "n"), [(EVIL, Cell(EVIL, "bad", EVIL))], note=EVIL, caption=EVIL)),
        Facts(((EVIL, EVIL),)),
        Code(EVIL, EVIL),
        Messages((Message(EVIL, EVIL, EVIL, ((EVIL, EVIL),)),)),
    ]
    return Page(
        title=EVIL,
        over=EVIL,
        under=EVIL,
        badges=(Badge(text=EVIL, tone="bad"),),
        headline=(EVIL, EVIL),
        sections=[Section(EVIL, EVIL, blocks, EVIL), Section("b", "b", []), Section("c", "c", [])],
        foot=(EVIL,),
    )


def test_nothing_that_is_handed_in_becomes_markup() -> None:
    found = parsed(render(evil_page()))
    names = [tag for tag, _ in found.tags]
    assert "img" not in names and names.count("script") == 1 and names.count("style") == 1
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for tag in ("title", "h1", "h2", "td", "dd", "code", "b", "span"):
        assert EVIL in "".join(found.text[tag])
    readings = [one["data-readings"] for _, one in found.tags if "data-readings" in one]
    assert len(readings) == 2 and "<script>" in str(readings[0])


def test_nothing_comes_from_elsewhere() -> None:
    text = render(evil_page())
    for tag, attributes in parsed(text).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#")
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]


def test_the_page_forbids_itself_what_it_does_not_hold() -> None:
    text = render(Page(title="t"))
    policy = next(
        str(one["content"])
        for _, one in parsed(text).tags
        if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for tag in ("style", "script"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inside is not None and len(inside[1]) > 500
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_colour_is_known_in_light_and_dark() -> None:
    text = render(Page(title="t"))
    for colour in COLOURS:
        assert f".c-{colour} {{ --c: var(--{colour}); }}" in text
        assert len(re.findall(rf"--{colour}: #", text)) == 2, colour


def test_links_lead_to_sections_that_there_are() -> None:
    sections = [Section(one, one.upper(), [Words(("x",))]) for one in ("a", "b", "c")]
    tags = parsed(render(Page(title="t", sections=sections))).tags
    ids = {one["id"] for tag, one in tags if tag == "section" and "id" in one}
    assert {str(one["href"])[1:] for tag, one in tags if tag == "a"} == ids == {"a", "b", "c"}


def test_numbers_go_to_the_right_and_words_to_the_left() -> None:
    it = table(("Flow", "Calls", "When"), [("a", "1", Cell("now", "good"))], words=("When",))
    tags = parsed(render(Page(title="t", sections=[Section("s", "S", [Grid(it)])]))).tags
    cells = [str(one.get("class", "")).split() for tag, one in tags if tag == "td"]
    assert cells == [["word"], [], ["word", "good"]]
