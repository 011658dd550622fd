"""Real agents, a real Redis, a real nginx: what is reported is what the server saw, once.

Agents are processes of `twistd rascal-agent`. The coordinator here is RedisLink with a small
ledger; losses are shared out again by the test, as a coordinator would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from agents_place import FILES, Ledger, Target, Wire, agents, nginx, pause, plan, resume
from within import until, within

from rascal.errors import ConfigErrors, CoordinationError
from rascal.load import embedded
from rascal.load._redis import Redis
from rascal.load.beats import Beat, read_beats, write_beat
from rascal.load.clocks import measure
from rascal.load.embedded import Server
from rascal.load.messages import BEAT_SECONDS, LOST_SECONDS, Keys, Seal
from rascal.load.places import parse_place
from rascal.load.redis_link import RedisLink

TOKEN = "a token that is long enough"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with embedded.redis(port=True, folder=str(tmp_path)) as started:
        yield started


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with nginx(tmp_path) as started:
        yield started


def link_to(server: Server, **more: Any) -> RedisLink:
    from twisted.internet import reactor

    return RedisLink(server.place, reactor, patience=more.pop("patience", 30.0), **more)


async def begin(link: RedisLink, target: Target, profile: str, count: int, **more: Any) -> Ledger:
    """A run under way."""
    ledger = Ledger(link)
    await within(40, link.gather(count))
    await within(40, link.prepare("17", plan(target, profile, **more), FILES))
    await within(10, link.start())
    return ledger


def second(link: RedisLink) -> float:
    from twisted.internet import reactor

    return float(reactor.seconds() - link._begun)  # type: ignore[attr-defined]


async def shown(redis: Redis, name: str) -> None:
    """Until an agent has shown its first beat."""
    from twisted.internet.task import deferLater

    while name not in [beat.name for beat in await read_beats(redis, Keys(), Seal(TOKEN))]:
        await deferLater(redis.reactor, 0.05)


@pytest_twisted.ensureDeferred
async def test_agents_begin_together_and_report_what_the_server_saw(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 3, tmp_path):
        link = link_to(server)
        try:
            ledger = await begin(link, target, "hold 200/s for 3s", 3)
            await until(lambda: len(ledger.last) == 3, "last reports", seconds=15)
            starts = [member.started for member in link.members.values()]
        finally:
            await within(30, link.close())
    # theirs is the monotonic clock of this machine; ours is whatever the reactor reads
    begun = link._begun - link.reactor.seconds() + time.monotonic()
    # Round trips of a busy machine tell less of its clock: a few milliseconds on a quiet one.
    assert all(at is not None and abs(at - begun) < 0.1 for at in starts), starts
    first = [min(t for t, pid in target.lines if pid == one.info.pid) for one in link.in_order()]
    assert max(first) - min(first) < 1.0
    assert ledger.replies == target.count() > 500
    assert [ledger.replies_of(one.name) for one in link.in_order()] == [
        target.count(one.info.pid) for one in link.in_order()
    ]
    total = ledger.results.total(kind="flow")
    assert total.planned == total.started == total.outcomes["served"] == ledger.replies
    assert not any(ledger.gaps().values())
    assert ledger.lost == [] and ledger.twice == 0


@pytest_twisted.ensureDeferred
async def test_an_agent_that_is_killed_is_lost_soon_and_the_others_take_over(
    server: Server, target: Target, tmp_path: Path
) -> None:
    from twisted.internet import reactor

    with agents(server.place, 3, tmp_path) as processes:
        link = link_to(server)
        try:
            ledger = await begin(link, target, "hold 150/s for 7s", 3)
            await until(lambda: second(link) > 2.3, seconds=10)
            killed = next(one for one in link.in_order() if one.info.pid == processes[1].pid)
            processes[1].kill()
            at = reactor.seconds()  # type: ignore[attr-defined]
            await until(lambda: ledger.lost, "on_lost", seconds=10)
            # Found by beats that are missing, long before a connection would say it.
            took = reactor.seconds() - at  # type: ignore[attr-defined]
            assert took < LOST_SECONDS + 3 * BEAT_SECONDS + 1.0
            left = [one.info.index for one in link.in_order() if one is not killed]
            link.reshare(left, int(second(link)) + 1)
            await until(lambda: len(ledger.last) == 2, "last reports", seconds=15)
        finally:
            await within(30, link.close())
    assert [name for name, _ in ledger.lost] == [killed.name]
    for member in link.in_order():
        reported, seen = ledger.replies_of(member.name), target.count(member.info.pid)
        if member is killed:
            # what it did after its last report died with it
            assert 0 < reported <= seen <= reported + 150
        else:
            assert reported == seen
    # all arrivals of the end were the others'
    rows = ledger.results.rows("flow", "home")
    assert sum(rows[n].planned for n in (6,) if n in rows) > 100


@pytest_twisted.ensureDeferred
async def test_an_agent_that_was_stopped_is_back_and_counts_once(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 2, tmp_path) as processes:
        link = link_to(server)
        try:
            ledger = await begin(link, target, "hold 100/s for 9s", 2)
            await until(lambda: second(link) > 1.5, seconds=10)
            stopped = next(one for one in link.in_order() if one.info.pid == processes[0].pid)
            pause(processes[0])
            await until(lambda: ledger.lost, "on_lost", seconds=10)
            other = [one.info.index for one in link.in_order() if one is not stopped]
            taken = int(second(link)) + 1
            link.reshare(other, taken)
            await until(lambda: second(link) > taken + 0.5, seconds=5)
            resume(processes[0])
            await until(lambda: ledger.back, "on_back", seconds=10)
            again = int(second(link)) + 2
            link.reshare([one.info.index for one in link.in_order()], again)
            await until(lambda: len(ledger.last) == 2, "last reports", seconds=15)
        finally:
            await within(30, link.close())
    assert ledger.lost[0][0] == stopped.name and ledger.back == [stopped.name]
    assert ledger.replies == target.count()
    assert not any(ledger.gaps().values())
    rows = ledger.results.rows("flow", "home")
    # every arrival was begun by one of them at most: no second has twice its share
    assert all(rows[n].planned < 140 for n in rows), {n: rows[n].planned for n in rows}
    mine = [report for report in ledger.reports if report.agent == stopped.name]
    seconds = {key[2] for report in mine for key in report.rows if key[0] == "flow"}
    assert seconds & {0, 1} and max(seconds) >= again
    assert not seconds & set(range(taken, again))


@pytest_twisted.ensureDeferred
async def test_redis_loses_its_memory_and_nothing_else_is_lost(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 3, tmp_path):
        link = link_to(server)
        try:
            ledger = await begin(link, target, "hold 200/s for 8s", 3)
            await until(lambda: second(link) > 1.3, seconds=10)
            server.restart()
            await until(lambda: second(link) > 4.2, seconds=10)
            await link.redis.command("FLUSHALL")
            link.change(plan(target, "hold 100/s for 2s").shares, int(second(link)) + 2)
            await until(lambda: len(ledger.last) == 3, "last reports", seconds=25)
        finally:
            await within(30, link.close())
    assert ledger.lost == []
    assert not any(ledger.gaps().values())
    assert ledger.replies == target.count() > 500
    total = ledger.results.total(kind="flow")
    assert total.planned == total.started == sum(total.outcomes.values())
    said = " ".join(event.text for event in ledger.events)
    assert "was lost" in said and "is back" in said


@pytest_twisted.ensureDeferred
async def test_an_agent_whose_network_is_cut_is_lost_and_what_it_did_counts(
    server: Server, target: Target, tmp_path: Path
) -> None:
    wire = Wire(server.port)
    try:
        with agents(server.place, 1, tmp_path), agents(wire.place, 1, tmp_path, prefix="far"):
            link = link_to(server)
            try:
                ledger = await begin(link, target, "hold 100/s for 10s", 2)
                await until(lambda: second(link) > 1.2, seconds=10)
                wire.is_cut = True
                await until(lambda: ledger.lost, "on_lost", seconds=10)
                near = [one.info.index for one in link.in_order() if one.name == "local-1"]
                link.reshare(near, int(second(link)) + 2)
                alone = int(second(link)) + 3
                await until(lambda: second(link) > alone, seconds=10)
                wire.mend()
                await until(lambda: ledger.back, "on_back", seconds=10)
                link.reshare([0, 1], int(second(link)) + 2)
                await until(lambda: len(ledger.last) == 2, "last reports", seconds=25)
            finally:
                await within(30, link.close())
    finally:
        await within(5, wire.close())
    assert [name for name, _ in ledger.lost] == ledger.back == ["far-1"]
    assert not any(ledger.gaps().values())
    assert ledger.replies == target.count()


@pytest_twisted.ensureDeferred
async def test_an_agent_that_is_stopped_by_its_operator_leaves_at_once(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 2, tmp_path) as processes:
        link = link_to(server)
        try:
            ledger = await begin(link, target, "hold 100/s for 4s", 2)
            await until(lambda: second(link) > 1.2, seconds=10)
            processes[0].terminate()
            await until(lambda: ledger.lost, "on_lost", seconds=10)
            left = [m.info.index for m in link.in_order() if m.info.pid == processes[1].pid]
            link.reshare(left, int(second(link)) + 1)
            await until(lambda: len(ledger.last) == 2, "last reports", seconds=15)
            await until(lambda: processes[0].poll() is not None, "its end", seconds=10)
        finally:
            await within(30, link.close())
    assert ledger.lost[0][1] == "it was stopped" and ledger.back == []
    assert not any(ledger.gaps().values())
    total = ledger.results.total(kind="flow")
    # calls under way were given up: the server may have answered them
    assert 0 <= target.count() - ledger.replies <= total.outcomes.get("timeout", 0)


@pytest_twisted.ensureDeferred
async def test_agents_stop_when_their_coordinator_is_dead(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 1, tmp_path, words=["--orphan", "3s"]):
        link = link_to(server)
        watch = link_to(server)
        try:
            await begin(link, target, "hold 50/s for 60s", 1)
            await until(lambda: second(link) > 1, seconds=10)
            await link._shut()  # as kill -9 would: nobody is told
            died = second(link)
            await within(5, watch.redis.connect())
            idle = False
            while not idle and second(link) < died + 12:
                beats = await read_beats(watch.redis, Keys(), Seal(""))
                idle = any(beat.state == "idle" for beat in beats)
            ended = second(link)
            last = target.lines[-1][0] - target.lines[0][0]
        finally:
            await within(5, watch.redis.close())
    assert idle
    assert 2.5 < ended - died < 8
    assert last > died + 1.5  # it went on for a while


@pytest_twisted.ensureDeferred
async def test_who_has_another_token_or_version_is_named(
    server: Server, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RASCAL_TOKEN", "one token of some length")
    with agents(server.place, 1, tmp_path):
        link = link_to(server, token=TOKEN)
        link.patience = 0.0
        redis = Redis(server.place, link.reactor)
        try:
            await within(5, redis.connect())
            old = Beat(instance="cafe", name="old", host="there", pid=7, version="0.0.1")
            now = (await within(5, measure(redis, link.reactor))).redis(link.reactor.seconds())
            await write_beat(redis, Keys(), Seal(TOKEN), old, now)
            await within(30, shown(redis, "local-1"))
            with pytest.raises(CoordinationError) as caught:
                await within(10, link.gather(1))
        finally:
            await within(5, redis.close())
            await within(5, link.close())
    text = str(caught.value)
    assert "an agent is needed, none is free" in text
    assert "it has another token" in text and "local-1" in text
    assert "it runs Rascal 0.0.1, this is" in text


@pytest_twisted.ensureDeferred
async def test_what_an_agent_cannot_load_is_said_as_it_would_be_here(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 1, tmp_path):
        link = link_to(server)
        try:
            await within(40, link.gather(1))
            files = {"look.py": b"from rascal.load import scenario\nimport nothing_like_it\n"}
            with pytest.raises(ConfigErrors) as caught:
                await within(20, link.prepare("1", plan(target, "hold 5/s for 1s"), files))
        finally:
            await within(10, link.close())
        again = link_to(server)
        try:  # and it is free for the next run
            ledger = await begin(again, target, "hold 20/s for 1s", 1)
            await until(lambda: ledger.last, seconds=10)
        finally:
            await within(10, again.close())
    assert "look.py:2: there is no module 'nothing_like_it'" in str(caught.value)
    assert ledger.replies == target.count() > 5


@pytest_twisted.ensureDeferred
async def test_an_agent_of_another_run_is_busy(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 1, tmp_path):
        link, other = link_to(server), link_to(server)
        try:
            await begin(link, target, "hold 5/s for 30s", 1)
            other.patience = 0.0
            with pytest.raises(CoordinationError, match="it is busy with run 17"):
                await within(10, other.gather(1))
        finally:
            await within(10, other.close())
            await within(10, link.close())


def test_no_redis_off_this_machine_without_a_token() -> None:
    from twisted.internet import reactor

    link = RedisLink(parse_place("redis://192.0.2.1"), reactor)
    failed: list[Any] = []
    from twisted.internet.defer import Deferred

    Deferred.fromCoroutine(link.gather(1)).addErrback(failed.append)
    assert "is not on this machine: set RASCAL_TOKEN" in failed[0].getErrorMessage()
