"""What must hold is asked: of a real HTTP server, of commands, and compared as it is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from within import within

from rascal.experiment.asking import Asked, ask, ask_until, judged
from rascal.experiment.specification import Check


def check(way: Any = "get", ask: str = "/", **given: Any) -> Check:
    return Check(name="it", way=way, ask=ask, **given)


@pytest.mark.parametrize(
    ("test", "wanted", "value", "holds"),
    [
        ("answers", "", "", True),
        ("equals", "0", "0", True),
        ("equals", "0", "0.0", True),
        ("equals", "0", "1", False),
        ("equals", "paid", "paid", True),
        ("at_most", "3", "3", True),
        ("at_most", "3", "4", False),
        ("at_least", "3", "2", False),
        ("at_least", "3", "many", False),
        ("contains", "ok", "all ok here", True),
        ("contains", "ok", "nothing", False),
    ],
)
def test_comparisons(test: Any, wanted: str, value: str, holds: bool) -> None:
    assert judged(check(test=test, value=wanted), value, None).holds is holds


def test_unchanged_compares_with_before() -> None:
    assert judged(check(test="unchanged"), "7", None).holds
    assert judged(check(test="unchanged"), "7", "7").holds
    found = judged(check(test="unchanged"), "8", "7")
    assert (found.holds, found.text) == (False, "8, before it was 7")


@pytest.fixture
def site() -> Iterator[Any]:
    """A server that counts, fails, and never answers."""
    from twisted.internet import reactor
    from twisted.web.resource import Resource
    from twisted.web.server import NOT_DONE_YET, Site

    class Root(Resource):
        isLeaf = True
        asked = 0

        def render_GET(self, request: Any) -> Any:
            self.asked += 1
            if request.path == b"/hang":
                return NOT_DONE_YET
            if request.path == b"/broken":
                request.setResponseCode(503)
                return b"no"
            return b'{"count": %d, "who": "jo"}' % self.asked

    root = Root()
    factory = Site(root)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"http://127.0.0.1:{port.getHost().port}"
    pytest_twisted.blockon(port.stopListening())


async def asked(one: Check, target: str = "", *, until: bool = False, before: Any = None) -> Asked:
    from twisted.internet import reactor

    function = ask_until if until else ask
    return await within(20, function(one, reactor=reactor, target=target, before=before))


@pytest_twisted.ensureDeferred
async def test_http(site: str) -> None:
    found = await asked(check(json="$.who", test="equals", value="jo"), site)
    assert found == Asked(holds=True, value="jo", text="jo")
    found = await asked(check(json="$.nobody"), site)
    assert not found.holds and "has no $.nobody" in found.text
    found = await asked(check(ask="/broken"), site)
    assert not found.holds and "answered 503: no" in found.text
    found = await asked(check(ask="/hang", timeout=0.2), site)
    assert found.text == "no answer within 0.2s"
    found = await asked(check(ask="http://127.0.0.1:1/"), site)
    assert "cannot be asked: " in found.text and found.value is None


@pytest_twisted.ensureDeferred
async def test_it_may_take_a_while_to_hold(site: str) -> None:
    wanted = check(json="$.count", test="at_least", value="3", within=10.0)
    assert (await asked(wanted, site, until=True)).value == "3"
    wanted = check(json="$.count", test="equals", value="0", within=0.6)
    assert not (await asked(wanted, site, until=True)).holds


@pytest_twisted.ensureDeferred
async def test_commands(site: str) -> None:
    python = f"{sys.executable} -c"
    found = await asked(check("command", f"{python} 'print(3)'", test="equals", value="3"))
    assert found.holds
    found = await asked(check("command", f"{python} 'raise SystemExit(\"no jobs\")'"))
    assert not found.holds and found.text.endswith("with status 1: no jobs")
    found = await asked(check("command", "no-such-command-at-all"))
    assert not found.holds and "with status 127" in found.text
    script = f"{python} 'import os; print(os.environ[\"RASCAL_TARGET\"])'"
    assert (await asked(check("command", script), site)).value == site


@pytest_twisted.ensureDeferred
async def test_redis_and_sql_that_are_not_there() -> None:
    found = await asked(check("redis", "LLEN jobs", at="redis://127.0.0.1:1/0"))
    assert not found.holds and "127.0.0.1:1" in found.text
    found = await asked(check("sql", "SELECT 1", at="mysql://root@127.0.0.1:1/shop"))
    assert not found.holds and found.text.startswith("the query failed: ")
