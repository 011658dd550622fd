"""Whole runs in one process against real servers: exact counts, no coordinated omission, faults."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from load_servers import LoggingNginx, Stubborn
from twisted.internet import reactor
from within import until, within

from rascal.language import parse
from rascal.load.book import Book, load_book
from rascal.load.local import LocalLink
from rascal.load.measures import objective_states
from rascal.load.planning import plan_of
from rascal.load.running import Finished, run_load
from rascal.load.targets import TargetError
from rascal.load.types import Event
from rascal.store import Store

SHOP = """
from rascal.load import scenario

@scenario("look")
async def look(user):
    page = await user.get("/", name="home")
    page.check(status=200, json="$.ok")

@scenario("lost")
async def lost(user):
    await user.get("/", name="home")
    await user.get("/missing", name="missing")
    await user.get("/busy", name="busy")
"""
PLAIN = """
from rascal.load import scenario

@scenario("plain")
async def plain(user):
    await user.get("/", name="plain")
"""
PACED = """
from rascal.load import scenario

@scenario("tick", pace="20ms")
async def tick(user):
    await user.get("/", name="tick")
"""
ROUGH = """
from rascal.load import scenario

PATHS = ["hang", "reset", "close", "half", "garbage", "headers", "trickle", "fine"]

@scenario("rough")
async def rough(user):
    path = PATHS[user.number % len(PATHS)]
    await user.get("/" + path, name=path)
"""


class Watcher:
    """A listener that keeps the clock and the events."""

    def __init__(self, began: Any = None) -> None:
        self.control: Any = None
        self.events: list[Event] = []
        self.seconds: list[int] = []
        self.each: Any = began

    def began(self, run: str, control: Any) -> None:
        self.control = control

    def snapshot(self, snapshot: Any) -> None:
        self.seconds.append(snapshot.second)

    def event(self, event: Event) -> None:
        self.events.append(event)
        if self.each is not None:
            self.each(self, event)


@pytest.fixture
def nginx(tmp_path: pathlib.Path) -> Iterator[LoggingNginx]:
    server = LoggingNginx(tmp_path)
    yield server
    server.stop()


def book_of(folder: pathlib.Path, text: str) -> Book:
    (folder / "shop.py").write_text(text)
    return load_book(str(folder / "shop.py"), {})


async def run(
    folder: pathlib.Path,
    text: str,
    *,
    seconds: float = 20,
    watcher: Watcher | None = None,
    store: Any = None,
    check: bool = True,
    **values: Any,
) -> Finished:
    """One run, to its end."""
    book = book_of(folder, text)
    named = {"for" if name == "for_" else name: value for name, value in values.items()}
    plan = plan_of(named, scenarios=tuple(book.scenarios), file=book.main)
    link = LocalLink(reactor, check=check)
    going = run_load(
        reactor, plan, book.files, link=link, store=store, listener=watcher or Watcher()
    )
    try:
        return await within(seconds, going)
    finally:
        book.unload()


# ---- counts


@pytest_twisted.ensureDeferred
async def test_the_servers_log_has_exactly_the_replies(
    nginx: LoggingNginx, tmp_path: pathlib.Path
) -> None:
    with Store(tmp_path / "runs.db") as store:
        finished = await run(
            tmp_path, SHOP, target=nginx.url, rate="300/s", for_="5s", only=["look"], seed="7",
            objectives=["failed < 1%"], store=store, name="exact",
        )  # fmt: skip
        total = finished.results.total()
        await until(lambda: len(nginx.lines()) >= total.replies, "nginx has logged all")
        assert len(nginx.lines()) == total.replies == total.started == total.planned
        assert total.outcomes == {"served": total.started}
        # Poisson arrivals: 1,500 give or take four standard deviations.
        assert abs(total.started - 1500) < 4 * math.sqrt(1500)
        assert finished.outcome == "completed"
        kept = store.run(finished.run)
        assert (kept.state, kept.outcome, kept.name) == ("ended", "completed", "exact")
        again = store.results(finished.run)
        assert again.total().started == total.started
        assert again.total().served == total.served


@pytest_twisted.ensureDeferred
async def test_outcomes_by_class(nginx: LoggingNginx, tmp_path: pathlib.Path) -> None:
    finished = await run(
        tmp_path, SHOP, target=nginx.url, rate="50/s", for_="1s", spacing="even", only=["lost"]
    )
    flows = finished.summary["flows"]
    assert {name: row["outcomes"] for name, row in flows.items()} == {
        "home": {"served": 50},
        "missing": {"http_4xx": 50},
        "busy": {"shed": 50},
    }
    assert flows["busy"]["explicit"]["count"] == 50
    assert flows["busy"]["served"] is None
    await until(lambda: len(nginx.lines()) >= 150)
    assert len(nginx.lines()) == 150 == finished.results.total().replies


@pytest_twisted.ensureDeferred
async def test_the_same_seed_offers_the_same_arrivals(
    nginx: LoggingNginx, tmp_path: pathlib.Path
) -> None:
    counts = []
    for seed in ("1", "1", "2"):
        finished = await run(
            tmp_path, SHOP, target=nginx.url, rate="100/s", for_="2s", seed=seed, only=["look"]
        )
        rows = finished.results.rows("scenario", "look")
        counts.append([rows[second].planned for second in (0, 1)])
    assert counts[0] == counts[1] != counts[2]


TIMED = """
from rascal.load import scenario

@scenario("hurry", deadline="400ms")
async def hurry(user):
    await user.get("/", name="home")
    await user.get("/", name="quick")

@scenario("look")
async def look(user):
    await user.get("/", name="home")
"""


@pytest_twisted.ensureDeferred
async def test_a_scenarios_deadline_counts_for_its_own_flows_also_in_the_store(
    nginx: LoggingNginx, tmp_path: pathlib.Path
) -> None:
    with Store(tmp_path / "runs.db") as store:
        finished = await run(
            tmp_path, TIMED, target=nginx.url, rate="50/s", for_="1s", spacing="even", seed="3",
            objectives=["dishonest(quick) < 1%", "goodput(hurry) > 1/s"], store=store, timeout="7s",
        )  # fmt: skip
        kept = store.results(finished.run)
    for results in (finished.results, kept):
        assert results.deadlines == {"quick": 0.4}
        assert results.scenario_deadlines == {"hurry": 0.4}
        assert results.timeout == 7.0
    again = objective_states(
        [parse("objective", "dishonest(quick) < 1%"), parse("objective", "goodput(hurry) > 1/s")],
        kept,
        0,
        0,
    )
    assert [one.json() for one in again] == finished.summary["objectives"]


# ---- coordinated omission


def expected(starts: Sequence[float], server: Stubborn, share: float) -> float:
    """A percentile of the latencies that the schedule and the server's stalls make certain."""
    waits = sorted(server.waits(start) for start in starts)
    return waits[math.ceil(share * len(waits)) - 1]


def slack(certain: float, late: float) -> float:
    """5 %, and what a busy machine adds: client and server share it, both may be this late."""
    return 0.05 * certain + 2 * late


def on_start(server: Stubborn) -> Watcher:
    """Sets the server's clock to second 0 of the run."""

    def each(watcher: Watcher, event: Event) -> None:
        if event.kind == "started":
            server.base = watcher.control.start

    return Watcher(each)


@pytest_twisted.ensureDeferred
async def test_arrivals_do_not_wait_for_a_server_that_stalls(tmp_path: pathlib.Path) -> None:
    """Open model: who arrives within the stall is begun in time, and waits until its end."""
    server = Stubborn(reactor, windows=[(1.5, 2.5)])
    try:
        finished = await run(
            tmp_path, PLAIN, target=server.url, rate="200/s", for_="4s", spacing="even",
            watcher=on_start(server),
        )  # fmt: skip
    finally:
        await server.stop()
    starts = [number / 200 for number in range(800)]
    plain = finished.summary["flows"]["plain"]
    assert plain["started"] == server.requests == 800
    late = finished.summary["lateness"]["p99"]
    for share in (0.90, 0.95, 0.99):
        certain = expected(starts, server, share)
        assert abs(plain["served"][f"p{share * 100:g}"] - certain) < slack(certain, late)
    # Begun in time, not behind the stall; the rest is how busy this machine is.
    assert late < 0.3
    # Who arrived in the stall's seconds is counted there, whenever the reply came.
    rows = finished.results.rows("flow", "plain")
    assert [rows[second].planned for second in range(4)] == [200] * 4


@pytest_twisted.ensureDeferred
async def test_users_on_a_grid_count_from_the_grid(tmp_path: pathlib.Path) -> None:
    """Four users, each 50 times a second, and a stall of 1 s in 4 s: the corrected p99 is what the
    schedule makes certain; what an uncorrected tool would say is far below."""
    server = Stubborn(reactor, windows=[(1.5, 2.5)])
    try:
        finished = await run(
            tmp_path, PACED, target=server.url, users="4", for_="4s", watcher=on_start(server)
        )
    finally:
        await server.stop()
    starts = [number / 50 for number in range(200) for _ in range(4)]
    tick = finished.summary["flows"]["tick"]
    assert tick["planned"] == 800
    late = finished.summary["lateness"]["p99"]
    for share in (0.90, 0.95, 0.99):
        certain = expected(starts, server, share)
        assert certain > 0.5
        assert abs(tick["served"][f"p{share * 100:g}"] - certain) < slack(certain, late)
    assert tick["served_actual"]["p99"] < 0.2


# ---- servers that misbehave


@pytest_twisted.ensureDeferred
async def test_every_way_to_misbehave_has_its_class(tmp_path: pathlib.Path) -> None:
    server = Stubborn(reactor)
    watcher = Watcher()
    try:
        finished = await run(
            tmp_path, ROUGH, target=server.url, rate="80/s", for_="1s", spacing="even",
            timeout="300ms", watcher=watcher,
        )  # fmt: skip
    finally:
        await server.stop()
    found = {name: row["outcomes"] for name, row in finished.summary["flows"].items()}
    assert found == {
        "hang": {"timeout": 10},
        "trickle": {"timeout": 10},
        "reset": {"reset": 10},
        "close": {"reset": 10},
        "half": {"truncated": 10},
        "garbage": {"malformed": 10},
        "headers": {"malformed": 10},
        "fine": {"served": 10},
    }
    assert finished.outcome == "completed"
    assert finished.summary["seconds"] == 1.0
    assert finished.summary["drained"] < 1.0
    assert finished.summary["total"]["replies"] == 10
    assert {sample.outcome for sample in finished.results.samples} == {
        "timeout", "reset", "truncated", "malformed",
    }  # fmt: skip


@pytest_twisted.ensureDeferred
async def test_nobody_listens_while_load_goes_on(tmp_path: pathlib.Path) -> None:
    server = Stubborn(reactor)
    await server.stop()
    finished = await run(
        tmp_path, PLAIN, target=server.url, rate="50/s", for_="1s", spacing="even", check=False,
        stop=["refused > 50% for 5s"],
    )  # fmt: skip
    assert finished.summary["flows"]["plain"]["outcomes"] == {"refused": 50}
    assert finished.status == 0


@pytest_twisted.ensureDeferred
async def test_an_unreachable_target_is_an_error_before_load_starts(
    tmp_path: pathlib.Path,
) -> None:
    server = Stubborn(reactor)
    await server.stop()
    with Store(tmp_path / "runs.db") as store:
        with pytest.raises(TargetError, match=r"cannot be reached: .*: connection refused"):
            await run(tmp_path, PLAIN, target=server.url, rate="5/s", for_="1s", store=store)
        # It never began: nobody takes it for a run that went wrong.
        kept = store.runs()[0]
        assert (kept.outcome, kept.status, kept.started) == ("refused", 2, None)
        assert "cannot be reached" in kept.summary["why"]


@pytest_twisted.ensureDeferred
async def test_a_target_that_is_not_allowed_gets_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TargetError, match=r"load to 192\.0\.2\.1 is not allowed from here"):
        await run(tmp_path, PLAIN, target="http://192.0.2.1", rate="5/s", for_="1s")


# ---- ends


@pytest_twisted.ensureDeferred
async def test_a_stop_rule_ends_it(tmp_path: pathlib.Path) -> None:
    server = Stubborn(reactor, windows=[(1.0, 60.0)])
    try:
        finished = await run(
            tmp_path, PLAIN, target=server.url, rate="50/s", for_="30s", timeout="300ms",
            stop=["timeout > 50% for 2s"], watcher=on_start(server),
        )  # fmt: skip
    finally:
        await server.stop()
    assert (finished.outcome, finished.status) == ("stopped", 4)
    assert 3.0 <= finished.summary["seconds"] < 6.0


@pytest_twisted.ensureDeferred
async def test_stopped_and_stopped_at_once(tmp_path: pathlib.Path) -> None:
    server = Stubborn(reactor, windows=[(0.0, 60.0)])

    def each(watcher: Watcher, event: Event) -> None:
        if event.kind == "started":
            server.base = watcher.control.start
            reactor.callLater(0.5, watcher.control.stop, "enough")  # type: ignore[attr-defined]
            reactor.callLater(0.7, watcher.control.stop)  # type: ignore[attr-defined]

    try:
        finished = await run(
            tmp_path, PLAIN, target=server.url, rate="50/s", for_="30s", watcher=Watcher(each)
        )
    finally:
        await server.stop()
    assert (finished.outcome, finished.status) == ("interrupted", 130)
    total = finished.results.total()
    assert total.started == sum(total.outcomes.values()) == server.requests
    assert finished.summary["drained"] < 5.0


@pytest_twisted.ensureDeferred
async def test_the_load_is_changed_while_it_goes_on(
    nginx: LoggingNginx, tmp_path: pathlib.Path
) -> None:
    def each(watcher: Watcher, event: Event) -> None:
        if event.kind == "started":
            watcher.control.change({"": "hold 200/s for 2s"})

    finished = await run(
        tmp_path, PLAIN, target=nginx.url, rate="20/s", for_="30s", spacing="even",
        watcher=Watcher(each),
    )  # fmt: skip
    rows = finished.results.rows("flow", "plain")
    counts = [rows[second].planned for second in rows]
    assert len(counts) in (3, 4)
    assert counts[0] == 20
    assert counts[-1] == counts[-2] == 200
    assert finished.status == 0


@pytest_twisted.ensureDeferred
async def test_hard_ends(nginx: LoggingNginx, tmp_path: pathlib.Path) -> None:
    finished = await run(
        tmp_path, PLAIN, target=nginx.url, users="3", for_="30s", max_requests="500"
    )
    assert 500 <= finished.results.total().started <= 503
    assert (finished.outcome, finished.status) == ("completed", 0)
    finished = await run(
        tmp_path, PLAIN, target=nginx.url, profile="hold 50/s", max_time="1s", spacing="even"
    )
    assert finished.results.total().started == 50
    assert finished.status == 0


LOOP = """
from rascal.load import scenario

@scenario("loop")
async def loop(user):
    while True:
        try:
            await user.get("/", name="home")
        except Exception:
            pass
"""


@pytest_twisted.ensureDeferred
async def test_the_hard_end_in_requests_also_ends_users_who_never_stop(
    nginx: LoggingNginx, tmp_path: pathlib.Path
) -> None:
    done = await run(
        tmp_path, LOOP, target=nginx.url, rate="20/s", for_="2s", max_requests=100, timeout="5s"
    )
    total = done.results.total()
    assert total.started == 100
    assert len(nginx.lines()) == 100
    assert total.outcomes == {"served": 100}
