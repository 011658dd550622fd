"""The main journeys through the panel, each in a real browser against a real system.

Each leaves screenshots, light and dark, wide and narrow: `journey-NAME-SCHEME-WIDTH.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from browser_place import Place, until
from playwright.sync_api import expect

from rascal.demo.node import NodeError


@pytest.fixture(autouse=True)
def calm(place: Place) -> Iterator[None]:
    """Each begins, and leaves, with nothing on."""
    place.calm()
    yield
    place.calm()


SECTIONS = ("Overview", "Proxies", "Scenarios", "Experiments", "Runs", "Agents", "Settings")


def test_first_visit(page: Any, place: Place, watch: Any, shoot: Any) -> None:
    watch.allow("status of 422")
    page.goto("/")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    for name in ("cache", "shop", "main"):
        expect(page.locator("main").get_by_text(name, exact=True).first).to_be_visible()
    navigation = page.get_by_role("navigation", name="Main")
    for name in (*SECTIONS[1:], SECTIONS[0]):
        navigation.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(navigation.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
    shoot(page, "journey-first-visit")
    # Connect my app: a backend, an address, the first exchange.
    page.goto("/connect")
    page.get_by_label("What your app talks to").select_option("redis")
    page.get_by_label("Where that is").fill("nowhere at all")
    page.get_by_role("button", name="Add the proxy").click()
    expect(page.get_by_role("alert")).to_contain_text("nowhere at all")
    page.get_by_label("Where that is").fill("{}:{}".format(*place.cache.address))
    page.get_by_label("Name").fill("queue")
    page.get_by_role("button", name="Add the proxy").click()
    address = page.get_by_text(re.compile(r"^redis://127\.0\.0\.1:\d+")).first
    expect(address).to_be_visible()
    expect(page.get_by_text("Connected.")).to_be_hidden()
    with redis.Redis.from_url(address.inner_text()) as app:
        assert app.ping()
    expect(page.get_by_text("Connected.")).to_be_visible()
    shoot(page, "journey-connect")
    place.node.call("DELETE", "proxies/queue")


def test_a_fault_that_a_client_feels(page: Any, place: Place, shoot: Any) -> None:
    assert place.customer() == 200
    page.goto("/proxies/cache")
    page.get_by_role("button", name="Add fault").click()
    form = page.get_by_role("dialog", name="Add to cache")
    form.get_by_label("Search kinds of faults").fill("hang")
    form.get_by_role("radio", name="Hang").check()
    form.get_by_label("In how many cases").fill("120%")
    expect(form.get_by_role("alert")).to_contain_text("120%")
    form.get_by_label("In how many cases").fill("")
    expect(form.locator(".says")).to_contain_text(re.compile("hang", re.I))
    shoot(page, "journey-fault-form", full=False)
    form.get_by_role("button", name="Turn on now").click()
    expect(form).to_be_hidden()
    switch = page.get_by_role("switch", name=re.compile("hang"))
    expect(switch).to_have_attribute("aria-checked", "true")
    assert place.customer() == 503
    expect(page.locator(".faultrows")).to_contain_text(re.compile(r"[1-9]\d* struck"))
    shoot(page, "journey-fault")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert place.customer() == 200
    page.goto("/proxies")
    switch = page.get_by_role("row", name=re.compile("cache")).get_by_role("switch")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert place.customer() == 503


def test_a_recipe(page: Any, place: Place, shoot: Any) -> None:
    page.goto("/proxies/cache")
    page.get_by_role("button", name="Apply a recipe").click()
    form = page.get_by_role("dialog", name="Add to cache")
    form.get_by_label("Incident").select_option("cache-down")
    expect(form.locator(".says")).to_contain_text("recipe(cache-down)")
    shoot(page, "journey-recipe-form", full=False)
    form.get_by_role("button", name="Turn on now").click()
    expect(form).to_be_hidden()
    expect(page.get_by_role("switch", name=re.compile("cache-down"))).to_be_checked()
    assert place.customer() == 503
    assert place.customer("/browse") == 200
    shoot(page, "journey-recipe")
    page.get_by_role("button", name="Remove cache-down").click()
    expect(page.get_by_role("switch")).to_have_count(0)
    assert place.customer() == 200


def test_a_script(page: Any, place: Place, shoot: Any) -> None:
    page.goto("/proxies/cache")
    page.get_by_role("button", name="Add a script").click()
    form = page.get_by_role("dialog", name="Add to cache")
    form.get_by_label("Steps").fill("pass\nerror(oom)\nhang count 2")
    form.get_by_label("Only if").fill("command=GET")
    form.get_by_label("Name").fill("three-customers")
    expect(form.locator(".says")).to_contain_text("command=GET")
    form.get_by_role("button", name="Turn on now").click()
    expect(form).to_be_hidden()
    assert [place.customer() for _ in range(5)] == [200, 500, 503, 503, 200]
    expect(page.locator(".faultrows")).to_contain_text("3 struck of 4 matched")
    expect(page.get_by_label("Steps").locator(".done")).to_have_count(4)
    shoot(page, "journey-script")


def test_start_load(page: Any, place: Place, shoot: Any) -> None:
    page.goto("/scenarios")
    page.get_by_role("link", name="Start load with customers.py").click()
    page.get_by_label("Target", exact=True).fill(place.target)
    page.get_by_role("textbox", name="Arrivals").fill("40")
    page.get_by_label("Lasts", exact=True).fill("20s")
    sentence = page.locator("#sentence")
    expect(sentence).to_contain_text("40 a second")
    patience = page.get_by_label("patience")
    patience.fill("soon")
    expect(page.get_by_text("found 'soon'")).to_be_visible()
    page.get_by_role("button", name="Run load").click()
    expect(patience).to_be_focused()
    assert not place.runs()
    patience.fill("1s")
    expect(page.get_by_text("found 'soon'")).to_be_hidden()
    shoot(page, "journey-start-load")
    page.get_by_role("button", name="Run load").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/live$"))
    run = page.url.split("/")[-2]
    expect(page.locator(".u-over").first).to_be_visible()
    shares = place.ask("GET", f"/api/v1/runs/{run}")[1]["spec"]["shares"]
    assert "40/s" in shares[0]["profile"], shares


def lane(page: Any, name: str) -> Any:
    """The lane of a fault."""
    return page.get_by_role("list", name="Faults").get_by_role("listitem").filter(has_text=name)


def legend(page: Any, name: str) -> float:
    """What stands in the legend of the chart."""
    item = page.get_by_role("region", name="Timeline").get_by_role("listitem")
    text = item.filter(has_text=re.compile(rf"^\s*{name}")).first.inner_text()
    return float(re.sub(r"[^\d.]", "", text) or 0)


def watched(page: Any, run: str) -> None:
    """Look at it live, until the charts are drawn."""
    page.goto(f"/runs/{run}/live")
    expect(page.locator("body[data-ready='1']")).to_be_attached()
    expect(page.locator(".u-over").first).to_be_visible()


def test_a_band_appears_while_errors_rise(page: Any, place: Place, shoot: Any) -> None:
    run = place.load(**{"for": "60s"})
    watched(page, run)
    until(lambda: legend(page, "Goodput") > 20, "load comes")
    assert legend(page, "Shed") == 0
    page.get_by_role("button", name="Add fault").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Proxy").select_option(label="cache (redis)")
    form.get_by_label("What goes wrong").fill("hang")
    form.get_by_role("button", name="Turn on now").click()
    switch = page.get_by_role("switch", name=re.compile("hang.* on cache"))
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(lane(page, "hang")).to_contain_text("A")
    until(lambda: legend(page, "Shed") > 5, "errors rise")
    assert place.customer() == 503
    region = page.get_by_role("region", name="Exchanges")
    expect(region.get_by_text("shed").first).to_be_visible()
    until(lambda: drawn(page, "fault") > 500, "the band is on the chart")
    shoot(page, "journey-band")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    until(lambda: legend(page, "Shed") == 0, "errors are over")
    expect(page.get_by_role("region", name="Events")).to_contain_text("Fault on")
    (fault,) = [kept for kind, data in one_snapshot(place, run) for kept in data["faults"]]
    assert (fault["proxy"], fault["name"], len(fault["spans"])) == ("cache", "hang", 1)
    assert fault["spans"][0][1] - fault["spans"][0][0] >= 1


def one_snapshot(place: Place, run: str) -> list[tuple[str, Any]]:
    """What a page of the run would begin with."""
    return [next(place.events(f"/api/v1/runs/{run}/events"))]


def drawn(page: Any, token: str) -> int:
    """How many pixels of the first chart have the tint of this colour."""
    return int(page.evaluate(TINTED, token))


TINTED = """(token) => {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = style.getPropertyValue(`--${token}`).trim();
  probe.fillRect(0, 0, 1, 1);
  const wanted = probe.getImageData(0, 0, 1, 1).data;
  const canvas = document.querySelector(".uplot canvas");
  const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let i = 0; i < all.length; i += 4) {
    const off = [0, 1, 2].reduce((sum, n) => sum + Math.abs(all[i + n] - wanted[n]), 0);
    if (all[i + 3] && off < 24) found++;
  }
  return found;
}"""


def test_change_the_load(page: Any, place: Place, shoot: Any) -> None:
    run = place.load(rate="20/s", **{"for": "60s"})
    watched(page, run)
    level = page.get_by_role("spinbutton", name="Load, requests per second")
    expect(level).to_have_value("20")
    level.fill("60")
    level.press("Enter")
    until(lambda: legend(page, "Offered") > 45, "more load comes")
    page.get_by_role("button", name="Less load").click()
    expect(page.get_by_role("region", name="Events")).to_contain_text("Load changed")
    shoot(page, "journey-change-load")
    page.get_by_role("button", name="End run").click()
    expect(page.locator(".status")).to_have_text("Stopped")
    assert place.until_ended(run)["outcome"] == "interrupted"
    rows = place.ask("GET", f"/api/v1/runs/{run}/series")[1]["rows"]
    assert max(row[1] for row in rows) > 40 > 35 > rows[1][1]


@pytest.mark.parametrize("way", ["button", "keys"])
def test_stop_everything(page: Any, place: Place, watch: Any, shoot: Any, way: str) -> None:
    run = place.load(**{"for": "60s"})
    place.node.add("cache", "hang")
    assert place.customer() == 503
    page.goto("/runs" if way == "keys" else "/")
    if way == "keys":
        page.keyboard.press("Control+.")
    else:
        page.get_by_role("button", name="Stop everything").click()
    release = page.get_by_role("button", name="Release").first
    expect(release).to_be_visible()
    assert place.customer() == 200
    assert not place.faults("cache")
    assert place.until_ended(run)["outcome"] == "interrupted"
    expect(page.get_by_text("until it is released").first).to_be_visible()
    expect(page.locator("main .status", has_text="Running")).to_have_count(0)
    shoot(page, f"journey-panic-{way}")
    # New faults and runs are refused, at the node and here.
    with pytest.raises(NodeError, match=r"409|423"):
        place.node.add("cache", "hang")
    status, found = place.ask("POST", "/api/v1/runs", {"load": {
        "file": "customers.py", "target": place.target, "rate": "1/s", "for": "1s"}})  # fmt: skip
    assert (status, found["type"]) == (409, "/problems/lever")
    watch.allow("status of 409", "status of 423")
    page.goto("/scenarios/customers.py")
    page.get_by_label("Target", exact=True).fill(place.target)
    page.get_by_role("button", name="Run load").click()
    expect(page.get_by_text(re.compile("everything is stopped|lever", re.I)).first).to_be_visible()
    page.get_by_role("button", name="Release").first.click()
    expect(page.get_by_role("button", name="Release")).to_have_count(0)
    with place.node.fault("cache", "hang"):
        assert place.customer() == 503


def judged(place: Place, run: str) -> Any:
    """The run with its verdict; None before that."""
    found = place.ask("GET", f"/api/v1/runs/{run}")[1]
    return found if found["word"] else None


def test_an_experiment_to_its_verdict(page: Any, place: Place, shoot: Any) -> None:
    page.goto("/experiments")
    page.get_by_role("link", name="cache-hangs").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("cache-hangs")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/live$"))
    run = page.url.split("/")[-2]
    place.first(run)
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text("Provisional")
    expect(page.get_by_role("switch", name="hang on cache")).to_be_checked()
    place.until_ended(run)
    found = until(lambda: judged(place, run), "it is judged")
    expect(verdict).not_to_contain_text("Provisional", timeout=40_000)
    expect(verdict).to_contain_text(found["word"].capitalize())
    expect(page.get_by_role("region", name="Blast radius")).to_contain_text("order")
    shoot(page, "journey-verdict")
    page.get_by_role("link", name="Report").first.click()
    expect(page.get_by_role("heading", name=re.compile("cache-hangs"))).to_be_visible()
    shoot(page, "journey-report")
    page.goto("/runs")
    row = page.get_by_role("row", name=re.compile(rf"#{run}\b"))
    expect(row).to_contain_text(found["word"].capitalize())
    shoot(page, "journey-runs")


def test_compare_two_runs(page: Any, place: Place, shoot: Any) -> None:
    quick = place.load(name="before", **{"for": "4s"})
    place.until_ended(quick)
    place.node.add("cache", "delay 120ms")
    slow = place.load(name="after", **{"for": "4s"})
    place.until_ended(slow)
    page.goto("/runs")
    for run in (quick, slow):
        row = page.get_by_role("row", name=re.compile(rf"#{run}\b"))
        row.get_by_role("checkbox").check()
    page.get_by_role("link", name="Compare 2").click()
    expect(page).to_have_url(re.compile(rf"/compare\?runs={quick}(,|%2C){slow}"))
    for name in ("before", "after"):
        expect(page.get_by_text(name).first).to_be_visible()
    p95 = page.get_by_role("row", name=re.compile("p95", re.I)).first
    expect(p95).to_contain_text("ms")
    expect(page.locator(".u-over").first).to_be_visible()
    shoot(page, "journey-compare")
