"""`rascal experiment`: what is said before anything runs, and of runs that are stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from recorded_experiment import keep, stored

from rascal.cli.app import rascal
from rascal.cli.experiment.orders import nodes_of, share, whole
from rascal.cli.experiment.recover import told_apart
from rascal.errors import ConfigError
from rascal.experiment.recording import KEY, Kept
from rascal.store import Store

Run = Callable[..., Result]

SHOP = """
from rascal.load import scenario
@scenario("browse", weight=2)
async def browse(user):
    await user.get("/")
@scenario("buy")
async def buy(user):
    await user.post("/")
"""
FILE = """target: http://127.0.0.1:9
load: {scenarios: shop.py, profile: 'ramp 0..90/s for 10s, hold 90/s', timeout: 5s}
phases: {warm-up: 10s, baseline: 20s, fault: 20s, recovery: 50s}
faults:
  - hang on db from fault+5s for 10s
  - 30% error(deadlock) on db match statement=UPDATE
scripts:
  - {on: cache, match: command=GET, steps: 'pass 2, error(oom)'}
uses: {db: [buy], cache: [browse]}
invariants: [{name: once, get: /invariants, json: $.twice, equals: 0}]
objectives: ['p95(buy) < 300ms in recovery']
stop: [failed > 95% for 30s]
expect: graceful
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`rascal experiment …` beside shop.py and x.yml, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "runs.db"))
    for name in ("RASCAL_TOKEN", "RASCAL_TOKEN_FILE", "RASCAL_REDIS", "RASCAL_URL"):
        monkeypatch.delenv(name, raising=False)
    Path("shop.py").write_text(SHOP)
    Path("x.yml").write_text(FILE)

    def call(*words: str, text: str | None = None, columns: int = 100) -> Result:
        runner = CliRunner(env={"COLUMNS": str(columns)})
        return runner.invoke(rascal, ["experiment", *words], prog_name="rascal", input=text)

    return call


def lines(done: Result) -> list[str]:
    return done.stdout.splitlines()


# ---- the group


def test_help_names_every_command_and_status(run: Run) -> None:
    done = run("--help")
    for word in ("run", "check", "explain", "init", "judge", "list", "show", "recover", "schema"):
        assert f"\n  {word} " in done.stdout
    assert "130  interrupted" in done.stdout


def test_a_file_where_a_command_stands(run: Run) -> None:
    done = run("x.yml")
    assert done.exit_code == 2
    assert "To run it: rascal experiment run x.yml" in done.stderr
    assert "Did you mean 'explain'?" in run("explane").stderr


def test_help_imports_no_reactor() -> None:
    code = (
        "import sys; from rascal.cli.app import rascal\n"
        "try: rascal(['experiment', 'run', '--help'], prog_name='rascal')\n"
        "except SystemExit: pass\n"
        "assert 'twisted.internet.reactor' not in sys.modules\n"
        "assert 'twisted' not in sys.modules, 'twisted'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--repeat N" in done.stdout


# ---- flags


def test_nodes() -> None:
    one, two = {"main": "http://a:1"}, {"a": "http://a:1", "b": "http://b:1"}
    assert nodes_of(["http://c:2/"], one) == {"main": "http://c:2"}
    assert nodes_of(["b=http://c:2"], two) == {"a": "http://a:1", "b": "http://c:2"}
    assert nodes_of(["http://c/?x=1"], one) == {"main": "http://c/?x=1"}
    with pytest.raises(ConfigError, match="which of a, b is http://c:2"):
        nodes_of(["http://c:2"], two)
    with pytest.raises(ConfigError, match="'c:2' is no URL"):
        nodes_of(["c:2"], one)


def test_numbers_of_flags() -> None:
    assert (whole("0", "--seed", least=0), share("70%", "--at-least")) == (0, 0.7)
    for text in ("-1", "1.5", "x", "", "²"):
        with pytest.raises(ConfigError, match="no whole number from 0"):
            whole(text, "--seed", least=0)
    for text in ("70", "100%", "0%", "most"):
        with pytest.raises(ConfigError, match="--at-least"):
            share(text, "--at-least")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repeat", "0"), "--repeat: '0' is no whole number from 1"),
        (("--at-least", "80%"), "--at-least is for --repeat N"),
        (("--repeat", "9", "--at-least", "1"), "--at-least: '1' has no unit: write 1%"),
        (("--seed", "x"), "--seed: 'x' is no whole number"),
        (("--target", "ftp://x"), "--target:"),
        (("--node", "nowhere"), "--node: 'nowhere' is no URL"),
        (("--agents", "none"), "--agents"),
    ],
)
def test_bad_flags_end_it_before_anything_is_done(
    run: Run, words: tuple[str, ...], said: str
) -> None:
    done = run("run", "x.yml", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not Path("runs.db").exists()


def test_run_says_all_that_is_wrong_with_the_file(run: Run) -> None:
    Path("x.yml").write_text(
        FILE.replace("hang on db", "hnag on db").replace("expect: g", "expct: g")
    )
    done = run("run", "x.yml")
    assert done.exit_code == 2
    assert "x.yml:5:5: there is no kind 'hnag'" in done.stderr or "'hnag'" in done.stderr
    assert "an experiment has no 'expct'" in done.stderr


def test_run_refuses_what_can_only_be_invalid(run: Run) -> None:
    Path("x.yml").write_text(
        FILE.replace("uses: {db: [buy], cache: [browse]}", "uses: {mq: [buy]}")
    )
    done = run("run", "x.yml")
    assert done.exit_code == 2
    assert "x.yml: no flow uses db or cache, which the faults strike" in done.stderr


def test_too_few_repeats_are_told(run: Run) -> None:
    done = run("run", "x.yml", "--repeat", "5", "--seed", "none")
    assert "5 of 5 right would not prove that 70% are: --repeat 9 can" in done.stderr
    assert done.exit_code == 2


# ---- check


def test_check_offline(run: Run) -> None:
    done = run("check", "x.yml", "--offline")
    assert done.exit_code == 0
    assert done.stdout == (
        "x.yml: 1:40 in 4 phases, 3 faults, 2 scenarios, 1 objective, 1 invariant: all well "
        "(the nodes were not asked)\n"
    )


def test_check_finds_everything_of_both_files(run: Run) -> None:
    text = FILE.replace("recovery: 50s", "recovery: 50").replace("expect: graceful", "expect: fine")
    Path("x.yml").write_text(text)
    Path("shop.py").write_text(SHOP.replace("weight=2", "wait=2"))
    done = run("check", "x.yml", "--offline")
    assert (done.exit_code, done.stdout) == (1, "")
    said = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in said] == [
        "x.yml:3:61",
        "x.yml:13:9",
        "shop.py:3",
        "x.yml",
    ]
    assert said[-1] == "x.yml: 3 findings"
    found = json.loads(run("check", "x.yml", "--offline", "--json").stdout)
    assert [one["line"] for one in found["findings"]] == [3, 13, 3]


def test_check_of_nothing(run: Run) -> None:
    done = run("check", "y.yml", "--offline")
    assert done.exit_code == 2
    assert done.stderr.startswith("y.yml: cannot be read: No such file")


def test_check_says_what_is_unwise(run: Run) -> None:
    Path("x.yml").write_text(FILE.replace("timeout: 5s", "timeout: 5s, max_in_flight: 100"))
    done = run("check", "x.yml", "--offline")
    assert done.exit_code == 0
    assert "at most 100 visits may be under way" in done.stderr


# ---- explain


def test_explain_draws_the_timeline(run: Run) -> None:
    found = lines(run("explain", "x.yml"))
    assert found[0] == "x → http://127.0.0.1:9"
    assert found[1] == "1:40, seed 0, 90.0/s in the baseline, a call may take 5s"
    rows = {line.split("  ")[0].strip(): line for line in found}
    assert "|baseline 20s" in rows["phases"] and "|recovery 50s" in rows["phases"]
    assert rows["load"].endswith("█  up to 90.0/s")
    assert "▁" in rows["load"] or "▂" in rows["load"]
    assert rows["db/hang"].endswith("0:35 to 0:45")
    assert rows["db/error"].endswith("0:30 to 0:50")
    assert rows["cache/script"].endswith("0:30 to 0:50")
    # The bar stands below its phase: from 35 % to 45 % of the width.
    bar = rows["db/hang"].split()[1]
    assert bar.index("█") / len(bar) == pytest.approx(0.35, abs=0.02)
    assert bar.count("█") / len(bar) == pytest.approx(0.10, abs=0.02)


def test_explain_says_what_the_run_can_tell(run: Run) -> None:
    text = run("explain", "x.yml").stdout
    assert "invariant   once: get /invariants $.twice equals 0" in text
    assert "stops if    failed > 95% for 30s" in text
    assert "expected    graceful, or better" in text
    assert "long enough to tell" in text
    buy = next(line for line in text.splitlines() if line.startswith("buy"))
    assert buy.split()[:5] == ["buy", "30.0/s", "600", "600", "500"]


def test_explain_warns_of_what_is_too_short(run: Run) -> None:
    Path("x.yml").write_text(FILE.replace("90/s", "9/s"))
    text = run("explain", "x.yml").stdout
    assert "! browse, buy (together): 9/s × 20s = 180 calls during the fault" in text
    assert "long enough" not in text
    found = json.loads(run("explain", "x.yml", "--json").stdout)
    assert found["long_enough"] is False
    assert found["phases"]["fault"] == [30.0, 50.0]
    assert {one["name"]: (one["begins"], one["ends"]) for one in found["faults"]}["hang"] == (
        35,
        45,
    )


def test_explain_takes_the_flags_of_run(run: Run) -> None:
    found = json.loads(
        run("explain", "x.yml", "--json", "--seed", "7", "--target", "http://127.0.0.1:80/").stdout
    )
    assert (found["seed"], found["target"]) == (7, "http://127.0.0.1:80")


# ---- init


def test_what_init_writes_is_well(run: Run) -> None:
    done = run("init", "--yes")
    assert done.exit_code == 0, done.output
    assert Path("scenario.py").exists()
    checked = run("check", "experiment.yml", "--offline")
    assert checked.exit_code == 0, checked.output
    assert "! " not in checked.stderr
    assert "long enough to tell" in run("explain", "experiment.yml").stdout


def test_init_writes_over_nothing(run: Run) -> None:
    done = run("init", "x.yml", "--yes")
    assert done.exit_code == 2
    assert "x.yml is there already" in done.stderr
    assert Path("x.yml").read_text() == FILE
    assert run("init", "x.yml", "--yes", "--force", "--scenarios", "shop.py").exit_code == 0
    assert Path("shop.py").read_text() == SHOP
    assert not Path("scenario.py").exists()


def test_init_asks_again_until_it_understands(run: Run) -> None:
    answers = ["ftp://x", "http://127.0.0.1:99", "shop.py", "many", "20/s", "http://127.0.0.1:9"]
    answers += ["db", "explode", "30% error(deadlock) match statement=UPDATE", "fine", "degraded"]
    done = run("init", "new.yml", text="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.output
    assert "nobody answers at http://127.0.0.1:9" in done.stderr
    text = Path("new.yml").read_text()
    assert "target: http://127.0.0.1:99\n" in text
    assert "profile: hold 20/s" in text
    assert "- 30% error(deadlock) match statement=UPDATE on db" in text
    assert "expect: degraded" in text
    assert run("check", "new.yml", "--offline").exit_code == 0


def test_init_that_is_broken_off_writes_nothing(run: Run) -> None:
    done = run("init", "new.yml", text="http://127.0.0.1:99\n")
    assert done.exit_code == 130
    assert "nothing was written" in done.stderr
    assert not Path("new.yml").exists()


@pytest.mark.parametrize("word", ["hang", "slow", "flaky", "down", "recipe slow-peer on db"])
def test_every_fault_that_init_offers_can_be_written(run: Run, word: str) -> None:
    assert run("init", "n.yml", "--yes", "--fault", word).exit_code == 0
    assert run("check", "n.yml", "--offline").exit_code == 0


def test_init_refuses_what_it_cannot_write(run: Run) -> None:
    done = run("init", "n.yml", "--yes", "--fault", "explode", "--expect", "fine")
    assert done.exit_code == 2
    assert "--fault: " in done.stderr
    assert not Path("n.yml").exists()


# ---- stored runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three experiments."""
    path = tmp_path_factory.mktemp("stored") / "runs.db"
    stored(path, "fast 503")
    stored(path, "hangs", name="slow-shop")
    stored(path, "never fired", expect="exactly invalid", name="never")
    return path


@pytest.fixture
def kept(run: Run, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("RASCAL_STORE", str(runs))
    return run


def test_show_says_the_verdict_first(kept: Run) -> None:
    done = kept("show", "1", columns=120)
    found = lines(done)
    assert done.exit_code == 0
    assert found[0] == "graceful  as expected (expected: graceful)"
    assert found[1].startswith("It gave up what it had to, and said so: orders kept ")
    table = [line.split() for line in found if line.startswith(("orders ", "browse ", "export "))]
    assert [row[:2] for row in table] == [["orders", "yes"], ["browse", "no"], ["export", "no"]]
    assert "✓ goodput_kept(browse) >= 90%  kept: " in done.stdout
    assert "yes     graceful   orders kept" in done.stdout
    assert found[-2:] == [
        "in every detail: rascal experiment show 1 --why",
        "with other limits: rascal experiment judge 1 --set keep=90%",
    ]


def test_a_narrow_terminal_gets_two_tables(kept: Run) -> None:
    found = lines(kept("show", "1", columns=80))
    assert max(map(len, found)) <= 80
    assert sum(line.startswith("FLOW ") for line in found) == 2


def test_why_shows_every_finding(kept: Run) -> None:
    short, long = kept("show", "2").stdout, kept("show", "2", "--why").stdout
    assert "--why shows everything" in short and "--why" not in long
    assert long.count("second ") > 8 > short.count("second ")


def test_judging_again_gives_the_same_bytes(kept: Run) -> None:
    for number in ("1", "2", "3"):
        first = kept("judge", number, "--json").stdout
        assert (
            first == kept("judge", number, "--json").stdout == kept("show", number, "--json").stdout
        )
        assert first == kept("judge", number, "--json", "--set", "keep=95%").stdout


def test_judging_gives_the_verdict_that_the_store_has(kept: Run, runs: Path) -> None:
    with Store(runs, readonly=True) as store:
        for number in ("1", "2", "3"):
            known = store.data(number)["verdict"]
            done = kept("judge", number, "--json")
            found = json.loads(done.stdout)
            assert found["verdict"]["name"] == known["word"]
            assert found["sentence"] == known["sentence"]
            assert done.exit_code == known["status"]


def test_other_thresholds_may_give_another_verdict(kept: Run) -> None:
    strict = kept("judge", "1", "--set", "dishonest=0%", "--set", "react=0s", "--json")
    lax = kept("judge", "2", "--set", "dishonest=100%", "--json")
    assert json.loads(lax.stdout)["verdict"]["name"] == "graceful"
    assert json.loads(lax.stdout)["thresholds"]["dishonest"] == 1.0
    assert json.loads(strict.stdout)["thresholds"]["react"] == 0.0
    assert kept("judge", "2").exit_code == 1
    assert lax.exit_code == 0


def test_another_expectation(kept: Run) -> None:
    assert kept("judge", "2", "--expect", "degraded").exit_code == 0
    done = kept("judge", "2", "--expect", "exactly stuck")
    assert done.exit_code == 1
    assert lines(done)[0] == "degraded  not as expected (expected: exactly stuck)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "keeep=90%"), "thresholds has no 'keeep'"),
        (("--set", "keep"), "--set: 'keep' is no NAME=VALUE"),
        (("--set", "keep=90"), "keep is a share: write 90%"),
        (("--set", "keep=much"), "keep is a number, a share (95%) or a time (3s)"),
        (("--expect", "fine"), "'fine' is no verdict"),
    ],
)
def test_what_cannot_be_judged_by(kept: Run, words: tuple[str, ...], said: str) -> None:
    done = kept("judge", "1", *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_thresholds_are_listed(kept: Run) -> None:
    found = json.loads(kept("judge", "--set", "?", "--json").stdout)
    assert found["keep"] == 0.95
    assert "keep" in kept("judge", "--set", "?").stdout


def test_the_list_has_the_verdicts(kept: Run) -> None:
    found = [line for line in lines(kept("list", columns=160)) if not line.startswith("   ")]
    assert [line.split()[:2] for line in found[1:]] == [
        ["3", "never"],
        ["2", "slow-shop"],
        ["1", "simulated"],
    ]
    verdicts = [next(word for word in line.split() if word in ("invalid", "degraded", "graceful"))
                for line in found[1:]]  # fmt: skip
    assert verdicts == ["invalid", "degraded", "graceful"]
    named = json.loads(kept("list", "slow-shop", "--json").stdout)
    assert [one["verdict"]["word"] for one in named] == ["degraded"]
    assert "no experiment is like that" in kept("list", "nobody").stderr


def test_runs_list_has_them_too(kept: Run) -> None:
    done = CliRunner(env={"COLUMNS": "160"}).invoke(rascal, ["runs", "list"], prog_name="rascal")
    assert "VERDICT" in done.stdout.splitlines()[0]
    assert "degraded" in done.stdout
    done = CliRunner().invoke(rascal, ["runs", "list", "--json"], prog_name="rascal")
    assert json.loads(done.stdout)[0]["verdict"]["word"] == "invalid"


def test_nothing_has_run_yet(run: Run) -> None:
    assert "there is no run store yet" in run("list").stderr
    Store("runs.db").close()
    assert "no experiment has run yet" in run("list").stderr
    done = run("show")
    assert done.exit_code == 2
    assert "no experiment has run yet" in done.stderr


def test_a_load_run_is_no_experiment(run: Run) -> None:
    with Store("runs.db") as store:
        number = store.create({"target": "x"}, {}, name="load")
        store.finish(number, "completed", {"status": 0})
    done = run("judge", number)
    assert done.exit_code == 2
    assert f"run {number} is no experiment: rascal runs show {number}" in done.stderr


def test_an_experiment_that_was_interrupted_says_why(run: Run) -> None:
    number = stored(Path("runs.db"), "fast 503")
    with Store("runs.db") as store:
        text = "The experiment was ended before it could be judged: ctrl-C."
        store.put(number, "verdict", {"word": "", "sentence": text, "status": 130})
    done = run("show", number)
    assert lines(done)[:2] == ["not judged", text]
    assert run("judge", number).exit_code == 130
    assert json.loads(run("show", number, "--json").stdout)["verdict"] is None


def test_an_experiment_whose_file_is_lost_is_judged_by_the_usual_thresholds(run: Run) -> None:
    number = stored(Path("runs.db"), "fast 503")
    with Store("runs.db") as store:
        data = Kept.of(store.data(number)[KEY])
        data.text = "target: ["
        store.put(number, KEY, data.json())
    found = json.loads(run("judge", number, "--json").stdout)
    assert found["verdict"]["name"] == "graceful"
    assert found["objectives"] == []


def test_thresholds_of_the_file_hold_for_judging(run: Run) -> None:
    number = stored(Path("runs.db"), "hangs")
    with Store("runs.db") as store:
        data = Kept.of(store.data(number)[KEY])
        data.text += "thresholds: {dishonest: 100%}\n"
        keep(store, number, data)
        assert store.data(number)["verdict"]["word"] == "graceful"
    found = json.loads(run("judge", number, "--json").stdout)
    assert found["verdict"]["name"] == "graceful"
    again = json.loads(run("judge", number, "--json", "--set", "dishonest=10%").stdout)
    assert again["verdict"]["name"] == "degraded"


# ---- schema, recover


def test_schema(run: Run) -> None:
    found = json.loads(run("schema").stdout)
    assert found["title"] == "Rascal experiment"
    assert "faults" in found["properties"]


class Leases:
    """A node whose leases are renewed, or not."""

    def __init__(self, renewed: dict[str, float | None]) -> None:
        self.now = 100.0
        self.renewed = renewed
        self.last = {name: self.now - (every or 0.0) / 2 for name, every in renewed.items()}

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for name, every in self.renewed.items():
            while every is not None and self.now - self.last[name] >= every:
                self.last[name] += every

    def leases(self) -> dict[str, dict[str, object]]:
        return {
            name: {"seconds": 15.0, "expires_in": 15.0 - (self.now - at), "holds": ["db/hang"]}
            for name, at in self.last.items()
            if self.now - at < 15
        }


def test_the_living_are_told_from_the_dead() -> None:
    node = Leases({"experiment-a": 5.0, "experiment-b": None, "mine": None})
    alive, dead = told_apart(node, "experiment-", node.wait)
    assert (list(alive), list(dead)) == (["experiment-a"], ["experiment-b"])
    assert node.now - 100.0 < 8


def test_one_that_is_long_silent_is_dead_at_once() -> None:
    node = Leases({"experiment-b": None})
    node.last["experiment-b"] = 92.0
    assert told_apart(node, "experiment-", node.wait) == ({}, node.leases())
    assert node.now == 100.0


def test_recover_where_nobody_answers(run: Run) -> None:
    done = run("recover", "--node", "http://127.0.0.1:9", "--no-containers")
    assert done.exit_code == 3
    assert "is rascal-proxy running there?" in done.stderr
