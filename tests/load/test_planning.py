"""Plans of command-line values, load files and JSON, and every way in which they can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.errors import ConfigErrors
from rascal.language import show
from rascal.load.plan import Plan, Share
from rascal.load.planning import load_values, merged, plan_of, read_load_file, with_profiles
from rascal.load.plans_json import plan_from_json, plan_json, shares_from_json
from rascal.load.wishes import NAMES, PLAN

NAMED = ("browse", "buy")
TARGET = "http://127.0.0.1:8080"


def made(scenarios: tuple[str, ...] = NAMED, **values: Any) -> Plan:
    """A plan of command-line values."""
    named = {"for" if name == "for_" else name: value for name, value in values.items()}
    return plan_of({"target": TARGET, **named}, scenarios=scenarios, file="shop.py")


def findings(call: Any, *args: Any, **kwargs: Any) -> list[str]:
    """What is refused, line by line."""
    with pytest.raises(ConfigErrors) as caught:
        call(*args, **kwargs)
    return [str(one) for one in caught.value.findings]


def profiles(plan: Plan) -> dict[tuple[str, ...], str]:
    return {share.scenarios: show(share.profile) for share in plan.shares}


@pytest.mark.parametrize(
    ("values", "profile"),
    [
        ({"rate": "200/s", "for_": "60s"}, "hold 200/s for 1m"),
        ({"rate": "90/m", "for_": "10s"}, "hold 1.5/s for 10s"),
        ({"rate": "0..200/s", "for_": "30s"}, "ramp 0..200/s for 30s"),
        ({"users": "50", "for_": "10s"}, "hold 50 users for 10s"),
        ({"users": 50, "for_": "10s"}, "hold 50 users for 10s"),
        ({"users": "50 users", "for_": "10s"}, "hold 50 users for 10s"),
        ({"users": "0..50", "for_": "10s"}, "ramp 0..50 users for 10s"),
        ({"profile": "ramp 0..5/s 2s, hold 5/s"}, "ramp 0..5/s for 2s, hold 5/s"),
        ({"profile": "hold 5/s", "for_": "3s"}, "hold 5/s for 3s"),
        ({"profile": ["ramp 0..5/s 2s", "hold 5/s for 3s"]}, "ramp 0..5/s for 2s, hold 5/s for 3s"),
        ({"profile": ["ramp 0..5/s 2s, hold 5/s"]}, "ramp 0..5/s for 2s, hold 5/s"),
    ],
)
def test_one_load_for_all_scenarios(values: dict[str, Any], profile: str) -> None:
    plan = made(**values)
    assert profiles(plan) == {NAMED: profile}
    assert (plan.file, plan.target) == ("shop.py", TARGET)


def test_each_scenario_has_its_own_profile() -> None:
    plan = made(
        ("browse", "buy", "look"),
        profile=["browse=ramp 0..10/s for 10s, hold 2/s for 3s", "buy, look = hold 5 users for 3s"],
    )
    assert profiles(plan) == {
        ("browse",): "ramp 0..10/s for 10s, hold 2/s for 3s",
        ("buy", "look"): "hold 5 users for 3s",
    }


def test_only_some_scenarios() -> None:
    assert profiles(made(rate="2/s", for_="1s", only=["buy"])) == {("buy",): "hold 2/s for 1s"}
    found = findings(made, rate="2/s", for_="1s", only=["by"])
    assert found == ["there is no scenario 'by'; scenarios: browse, buy. Did you mean 'buy'?"]


def test_options_are_typed_by_their_place() -> None:
    plan = made(
        rate="2/s", for_="1s", timeout="1500ms", connect_timeout="2s", seed="7", verify="no",
        connections="user", max_time="5m", max_requests="1000", max_in_flight="20",
        spacing="even", loss="abort", labels=["a", "b", "a"], name="evening",
        options={"size": "20"}, headers={"X-Tenant": "acme"}, allow=["shop.test"],
        objectives=["p95(checkout) < 300ms over 10s"], stop=["failed > 50% for 10s"],
    )  # fmt: skip
    assert (plan.timeout, plan.connect_timeout, plan.seed, plan.verify) == (1.5, 2.0, 7, False)
    assert (plan.max_time, plan.max_requests, plan.connections) == (300.0, 1000, "user")
    assert (plan.shares[0].max_in_flight, plan.shares[0].spacing) == (20, "even")
    assert (plan.labels, plan.name, plan.loss) == (("a", "b"), "evening", "abort")
    assert (plan.options, plan.headers) == ({"size": "20"}, {"X-Tenant": "acme"})
    assert plan.allow == ("shop.test",)
    assert [show(one) for one in (*plan.objectives, *plan.stop)] == [
        "p95(checkout) < 300ms over 10s",
        "failed > 50% for 10s",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "how much load? write rate 200/s and for 60s, or users 50 and for 60s, or a profile"),
        ({"for_": "60s"}, "how much load?"),
        ({"rate": "200", "for_": "1s"}, "'200' has no unit: write 200/s or 200 users"),
        ({"rate": "5/s"}, "how long? add for 60s"),
        ({"rate": "5/s", "for_": "0"}, "more than 0s"),
        ({"rate": "5/s", "for_": "9"}, "'9' has no unit: write 9s or 9ms"),
        ({"rate": "5 users", "for_": "1s"}, "rate is written as 200/s"),
        ({"users": "5/s", "for_": "1s"}, "users is written as 50"),
        ({"rate": "5/s", "users": "5", "for_": "1s"}, "rate and users say both how much load"),
        ({"profile": "hold 5/s for 1s", "for_": "1s"}, "the profile says itself how long"),
        ({"profile": "hld 5/s for 1s"}, "shape 'hld' is not known"),
        ({"profile": []}, "the profile is empty"),
        ({"profile": ["hold 5/s", "hold 6/s for 1s"]}, "only the last hold may go on without end"),
        ({"profile": ["hold 5/s for 1s", "buy=hold 5/s for 1s"]}, "has no scenario's name"),
        ({"profile": ["sell=hold 5/s for 1s"]}, "there is no scenario 'sell'"),
        ({"profile": ["buy,buy=hold 5/s for 1s"]}, "'buy' has two profiles"),
        ({"profile": ["buy=hold 5/s for 1s"], "only": ["buy", "browse"]}, "'browse' is chosen and"),
        ({"rate": "5/s", "for_": "1s", "timeout": "0"}, "timeout is at least 1ms"),
        ({"rate": "5/s", "for_": "1s", "connections": "all"}, "shared, user, none"),
        ({"rate": "5/s", "for_": "1s", "headers": {"A b": "x"}}, "'A b' cannot be the name"),
        ({"rate": "5/s", "for_": "1s", "headers": {"A": "x\r\ny"}}, "the header A is one line"),
        ({"rate": "5/s", "for_": "1s", "objectives": ["p95 < 3"]}, "'3' has no unit"),
        ({"rate": "5/s", "for_": "1s", "objectives": ["p95 < 3s in fault"]}, "experiments"),
        ({"rate": "5/s", "for_": "1s", "objectives": ["goodput_kept > 90%"]}, "experiment"),
        ({"rate": "5/s", "for_": "1s", "allow": ["http://shop"]}, "is neither a host"),
        ({"rate": "5/s", "for_": "1s", "stop": ["failed > 9% over 9s"]}, "'for 10s' instead"),
    ],
)
def test_what_cannot_be(values: dict[str, Any], message: str) -> None:
    found = findings(made, **values)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("shop", "is no base URL"),
        ("ftp://shop", "is no base URL"),
        ("http://", "is no base URL"),
        ("http://a b", "holds blanks"),
        ("http://shop?x=1", "no '?' and no '#'"),
        ("http://me:secret@shop", "holds a password"),
        ("http://shop:99999", "is no URL"),
        ("http://shop:0", "names no host and port"),
        ("http://[::1", "is no URL"),
    ],
)
def test_targets_that_are_none(target: str, message: str) -> None:
    found = findings(made, target=target, rate="5/s", for_="1s")
    assert len(found) == 1
    assert message in found[0]


def test_a_target_is_needed() -> None:
    found = findings(plan_of, {"rate": "5/s", "for": "1s"}, scenarios=NAMED)
    assert found == ["which target? write its base URL, such as http://127.0.0.1:8080"]


FILE = """
# The evening.
scenarios: shop.py
target: http://127.0.0.1:8080
profiles:
  browse:
    - ramp 0..80/s for 30s
    - hold 80/s for 5m
  buy: {profile: hold 20/s for 5m30s, spacing: even, max_in_flight: 500}
objectives: ['p95(checkout) < 300ms']
stop:
  - failed > 50% for 10s
verify: no
seed: 012
options: {size: 1:30, deep: no}
"""


def test_a_load_file() -> None:
    plan = plan_of(load_values(FILE, "evening.yml"), scenarios=NAMED, path="evening.yml")
    assert profiles(plan) == {
        ("browse",): "ramp 0..80/s for 30s, hold 80/s for 5m",
        ("buy",): "hold 20/s for 330s",
    }
    assert [(one.spacing, one.max_in_flight) for one in plan.shares] == [
        ("poisson", 10_000),
        ("even", 500),
    ]
    assert (plan.file, plan.verify, plan.seed) == ("shop.py", False, 12)
    assert plan.options == {"size": "1:30", "deep": "no"}


def test_what_a_load_run_cannot_answer_is_refused_at_its_place() -> None:
    text = (
        "scenarios: shop.py\ntarget: http://127.0.0.1:8080\nrate: 5/s\nfor: 9s\n"
        "objectives:\n  - p95 < 1s\n  - goodput_kept > 90%\n"
        "stop: [failed > 9% for 1500ms, in_flight(buy) > 9]\n"
    )
    found = findings(plan_of, load_values(text, "e.yml"), scenarios=NAMED, path="e.yml")
    assert [one.partition(": ")[0] for one in found] == ["e.yml:7:5", "e.yml:8:8", "e.yml:8:32"]
    assert "compares with a baseline" in found[0]
    assert "write whole seconds" in found[1]
    assert "of the whole client" in found[2]


def test_the_command_line_goes_before_the_file() -> None:
    file = load_values(FILE, "evening.yml")
    given = {"rate": "5/s", "for": "2s", "seed": "3", "options": {"deep": "yes"}, "users": None,
             "objectives": ["failed < 1%"], "labels": ()}  # fmt: skip
    plan = plan_of(merged(file, given), scenarios=NAMED, path="evening.yml")
    assert profiles(plan) == {NAMED: "hold 5/s for 2s"}
    assert plan.seed == 3
    assert plan.options == {"size": "1:30", "deep": "yes"}
    assert [show(one) for one in plan.objectives] == ["p95(checkout) < 300ms", "failed < 1%"]
    shorter = merged(load_values("rate: 5/s\nfor: 1h\ntarget: http://a", "x"), {"for": "2s"})
    assert profiles(plan_of(shorter, scenarios=NAMED)) == {NAMED: "hold 5/s for 2s"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yml: the file is empty: how much load?"),
        ("- a", "x.yml: a load file is a list of 'name: value' lines"),
        ("tmeout: 2s", "x.yml:1:1: 'tmeout' is not known here"),
        ("rate: 5/s\nallow: [shop.test]", "x.yml:2:1: 'allow' does not stand in a file"),
        ("rate: 5/s\nrate: 6/s", "x.yml:2:1: 'rate' stands twice, first in line 1"),
        ("options:\n  a: 1\n  a: 2", "x.yml:3:3: 'a' stands twice, first in line 2"),
        ("profile: %a", "x.yml:1:10: this is not YAML"),
        ("a: &x 1\nb: *x", "x.yml:1:4: an alias"),
        ("target: !!python/name:os.system x", "x.yml:1:9: tags are not used here"),
        ("target: !secret x", "x.yml:1:9: tags are not used here"),
        ("? [a]\n: b", "x.yml:1:3: a name is one word"),
        ("a: " + "[" * 5000, "this is not YAML"),
    ],
)
def test_files_that_cannot_be_read(text: str, message: str) -> None:
    assert any(message in one for one in findings(load_values, text, "x.yml"))


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("rate: 200", "x.yml:2:7: '200' has no unit"),
        ("rate: '200'", "x.yml:2:8: '200' has no unit"),
        ("profile: hold 5/s fr 5m", "x.yml:2:19: expected ','"),
        ("profile: |\n  ramp 0..5/s for 1s\n  hold 5 for 1s", "x.yml:4: '5' has no unit"),
        ("profile: [hold 5/s for 1s, hold 5]", "x.yml:2:33: '5' has no unit"),
        ("profiles: {buy: {profile: hold 5/s for 1s, spacng: even}}", "x.yml:2:44: a profile has"),
        ("profiles: {buy: {spacing: even}}", "x.yml:2:12: 'buy' takes a profile or a replay"),
        ("profiles: hold 5/s for 1s", "x.yml:2:11: profiles are 'scenario: profile' lines"),
        ("profiles: {sell: hold 5/s for 1s}", "x.yml:2:12: there is no scenario 'sell'"),
        ("headers: [a]", "x.yml:2:10: headers are 'name: value' lines"),
        ("labels: {a: b}", "x.yml:2:9: labels is a list of texts"),
        ("timeout: 2", "x.yml:2:10: '2' has no unit: write 2s or 2ms"),
    ],
)
def test_findings_say_where(line: str, where: str) -> None:
    values = load_values(f"target: http://a\n{line}\n", "x.yml")
    found = findings(plan_of, values, scenarios=NAMED, path="x.yml")
    assert any(one.startswith(where) for one in found), found


def test_all_findings_at_once() -> None:
    found = findings(made, rate="5", for_="x", timeout="2", objectives=["p95 < 1", "p9x < 1s"])
    assert len(found) >= 4


def test_a_file_that_is_not_there(tmp_path: Any) -> None:
    missing = str(tmp_path / "no.yml")
    assert findings(read_load_file, missing) == [
        f"{missing}: cannot be read: No such file or directory"
    ]
    (tmp_path / "latin.yml").write_bytes(b"\xff\xfe\xfd")
    assert "not UTF-8" in findings(read_load_file, str(tmp_path / "latin.yml"))[0]


def test_a_replay_instead_of_a_profile() -> None:
    assert made(replay="monday.log").shares == (Share(scenarios=NAMED, replay="monday.log"),)
    both = {"profiles": {"buy": {"replay": "a.log", "profile": "hold 5/s for 1s"}}}
    assert "takes a profile or a replay" in findings(made, **both)[0]


def test_changed_profiles() -> None:
    shares = made(profile=["browse=hold 1/s for 9s", "buy=hold 2/s for 9s"]).shares
    changed = with_profiles(shares, {"buy": "hold 7/s for 1s"})
    assert [show(one.profile) for one in changed] == ["hold 1/s for 9s", "hold 7/s for 1s"]
    assert "whose profile?" in findings(with_profiles, shares, {"": "hold 7/s"})[0]
    assert "no scenario 'sell'" in findings(with_profiles, shares, {"sell": "hold 7/s"})[0]
    one = made(rate="1/s", for_="9s").shares
    assert show(with_profiles(one, {"": "hold 7/s"})[0].profile) == "hold 7/s"


# ---- JSON


def test_a_plan_as_json_says_every_quantity_with_its_unit() -> None:
    data = plan_json(made(rate="90/m", for_="90s", timeout="250ms", stop=["failed > 50% for 10s"]))
    assert data["timeout"] == "250ms"
    assert data["max_time"] == "1d"
    assert data["shares"][0]["profile"] == [{"shape": "hold", "level": "1.5/s", "for": "90s"}]
    assert data["stop"] == [{"measure": "failed", "op": ">", "limit": "50%", "for": "10s"}]


durations = st.integers(1, 10**9).map(lambda micros: f"{micros}us")
plans = st.fixed_dictionaries(
    {"rate": st.integers(1, 10_000).map("{}/m".format), "for": durations},
    optional={
        "timeout": st.integers(1000, 10**9).map("{}us".format),
        "seed": st.integers(0, 10**15 - 1).map(str),
        "connections": st.sampled_from(["shared", "user", "none"]),
        "verify": st.booleans(),
        "resend": st.booleans(),
        "max_requests": st.integers(1, 10**12),
        "loss": st.sampled_from(["redistribute", "continue", "abort"]),
        "labels": st.lists(st.text("abc-", min_size=1), max_size=3),
        "options": st.dictionaries(st.text("abc", min_size=1), st.text(), max_size=3),
        "objectives": st.just(['p99.9("a b", c) <= 1s over 10s', "attempts <= 1.5"]),
        "name": st.text("abc", min_size=1),
    },
)


@given(plans)
def test_json_gives_the_plan_back(values: dict[str, Any]) -> None:
    plan = plan_of({"target": TARGET, **values}, scenarios=NAMED, file="shop.py")
    data = json.loads(json.dumps(plan_json(plan)))
    assert plan_from_json(data) == plan
    assert plan_json(plan_from_json(data)) == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timeout": 30}, "/timeout: '30' has no unit"),
        ({"timeot": "30s"}, "/timeot: a plan has no member 'timeot'"),
        ({"version": 99}, "/version: this is a plan of version 99"),
        ({"shares": [3]}, "/shares/0: a share is an object"),
        ({"shares": "all"}, "/shares: this is a list"),
        ({"shares": [{"scenarios": ["a"], "profile": "hold 5"}]}, "/shares/0/profile: '5' has no"),
        ({"labels": [1]}, "/labels/0: this is a text"),
        ({"objectives": [{"measure": "p95"}]}, "/objectives/0: an objective has a 'op'"),
        ({"options": []}, "/options: options is an object"),
        ({"loss": "panic"}, "/loss: "),
    ],
)
def test_json_that_is_no_plan(change: dict[str, Any], message: str) -> None:
    data = {**plan_json(made(rate="1/s", for_="1s")), **change}
    assert any(one.startswith(message) for one in findings(plan_from_json, data))


def test_shares_alone() -> None:
    shares = made(profile=["browse=hold 1/s for 9s", "buy=hold 2 users for 9s"]).shares
    data = json.loads(json.dumps(plan_json(made(profile="hold 1/s"))["shares"]))
    assert shares_from_json(data) == made(profile="hold 1/s").shares
    assert len(shares) == 2
    assert findings(plan_from_json, "x") == ["/: a plan is an object"]


def test_defaults_of_the_table_are_those_of_the_plan() -> None:
    plan = Plan(file="", shares=(), target="")
    for name, option in PLAN.items():
        if option.default is not None:
            assert getattr(plan, name) == option.default, name
        assert name in NAMES
