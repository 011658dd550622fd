"""The pytest plugin as users have it: by its entry point, without configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pytest
from rascal.testing import proxy
from site_thread import running

@pytest.fixture(scope="session")
def site():
    with running() as site:
        yield site

@pytest.fixture(scope="session")
def web(site):
    with proxy("http", upstream=site.upstream) as web:
        yield web
"""

QUIET = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:twisted")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("RASCAL_URL", "RASCAL_SEED", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeconftest(CONFTEST)
    return pytester


def test_the_report_of_a_failing_test_shows_what_happened(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import time
        import pytest
        from site_thread import get

        def test_earlier(web):
            assert get(web.address, "/earlier") == 200
            time.sleep(0.1)     # the clocks of two processes differ by a little

        def test_wrong(web):
            with web.fault("error(503) match path=/pay count 1"):
                assert get(web.address, "/pay") == 503
                assert get(web.address, "/later") == 404

        def test_missed(web):
            with web.fault("error(503) match path=/pya"):
                get(web.address, "/pay")

        def test_well(web):
            with web.fault("error(503) match path=/well"):
                assert get(web.address, "/well") == 503

        @pytest.fixture
        def broken(web):
            get(web.address, "/fixture")
            raise RuntimeError("no")

        def test_fixture(broken):
            pass
        """
    )
    done = project.runpytest_subprocess(*QUIET, "-rA")
    done.assert_outcomes(passed=2, failed=2, errors=1)
    done.stdout.re_match_lines(
        [
            r"_+ ERROR at setup of test_fixture _+",
            r"-+ rascal -+",
            r"http \(http\) at 127\.0\.0\.1:\d+:",
            r"  \d+  GET  .*path=/fixture status=200",
            r"seed \d+",
            r"_+ test_wrong _+",
            r"-+ rascal -+",
            r"http \(http\) at 127\.0\.0\.1:\d+:",
            r"  error\(503\) match path=/pay count 1: matched 1, fired 1",
            r"  \d+  GET +[\d.]+ms  answered  method=GET path=/pay  <- error",
            r"  \d+  GET +[\d.]+ms  ok        method=GET path=/later status=200",
            r"seed \d+",
            r"_+ test_missed _+",
            r">       with web.fault\(\"error\(503\) match path=/pya\"\):",
            r"E       .*FaultMissed: http/error error\(503\) match path=/pya never struck: .*",
            r"E         \d+  GET .* path=/pay status=200",
        ]
    )
    text = done.stdout.str()
    assert "/earlier" not in text, "only what happened in this test"
    assert text.count("- rascal -") == 3, "nothing of tests that pass"


def test_marks_put_faults_around_the_test_itself(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import unittest
        import pytest
        from site_thread import get

        pytestmark = pytest.mark.filterwarnings("error")

        @pytest.fixture
        def warm(web):
            assert get(web.address, "/mark") == 200     # not struck
            yield
            assert get(web.address, "/mark") == 200

        @pytest.mark.rascal("web", "error(503) match path=/mark")
        def test_strikes(warm, web):
            assert get(web.address, "/mark") == 503

        @pytest.mark.rascal("web", "error(500) match path=/first")
        @pytest.mark.rascal("web", "error", error="503", for_="20s")
        def test_several(web):
            assert (get(web.address, "/first"), get(web.address, "/")) == (500, 503)

        @pytest.mark.rascal("web", "50% error(503)", seed=7, may_miss=True)
        @pytest.mark.parametrize("n", [1, 2])
        def test_seed(web, n, hits=[]):
            hits.append([get(web.address) for _ in range(12)])
            assert hits[0] == hits[-1]

        @pytest.mark.rascal("web", script="pass, error(503)", match="path=/s")
        def test_script(web):
            assert [get(web.address, "/s") for _ in range(2)] == [200, 503]

        @pytest.mark.rascal("web", "refuse")
        def test_without_the_fixture():
            pass

        @pytest.mark.rascal("web", "delay 1ms")
        class TestClass:
            def test_one(self, web):
                assert get(web.address) == 200

        class Case(unittest.TestCase):
            @pytest.mark.rascal("web", "refuse")
            def test_it(self):
                pass
        """
    )
    done = project.runpytest_subprocess(*QUIET, "--strict-markers")
    done.assert_outcomes(passed=8)
    done = project.runpytest_subprocess(*QUIET, "--markers")
    done.stdout.fnmatch_lines(["@pytest.mark.rascal(fixture, fault, ..., script=None*"])


def test_marks_that_miss_or_mean_nothing_fail_the_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from site_thread import get

        @pytest.mark.rascal("web", "error(503)")
        def test_missed(web):
            pass

        @pytest.mark.rascal("web", script="error(503), pass")
        def test_unused(web):
            get(web.address)

        @pytest.mark.rascal("web", "dealy 2s")
        def test_misspelt(web):
            pass

        @pytest.mark.rascal("site", "delay 2s")
        def test_no_proxy(site):
            pass

        @pytest.mark.rascal("web")
        def test_nothing(web):
            pass

        @pytest.mark.rascal()
        def test_no_name(web):
            pass

        @pytest.mark.rascal("web", "error(503)")
        def test_own_error(web):
            raise ZeroDivisionError
        """
    )
    done = project.runpytest_subprocess(*QUIET)
    done.assert_outcomes(failed=7)
    done.stdout.fnmatch_lines(
        [
            "http/error error(503) never struck: matched 0, fired 0; may_miss=True allows that",
            "http/script error(503), pass: step 2 pass is unused",
            "@pytest.mark.rascal: /text column 1: kind 'dealy' is not known; * mean 'delay'?",
            "  dealy 2s",
            "  ^^^^^",
            "@pytest.mark.rascal: the fixture 'site' gives no proxy of rascal.testing but Site",
            "@pytest.mark.rascal: 'web' takes one fault, or script=; several are several marks",
            '@pytest.mark.rascal: name the fixture and a fault: rascal("db", "delay 2s")',
            "*ZeroDivisionError*",
        ]
    )


def test_workers_of_xdist_have_a_child_each_and_none_stays(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    project.makepyfile(
        """
        import pytest, time
        from pathlib import Path
        from site_thread import get

        @pytest.mark.parametrize("n", range(8))
        def test_it(web, n, worker_id):
            with web.fault("error(503)") as fault:
                assert get(web.address) == 503
            assert fault.fired == 1
            Path(f"{worker_id}.pid").write_text(str(web.node.process.pid))
            other = {"gw0": "gw1", "gw1": "gw0"}[worker_id]
            deadline = time.monotonic() + 30
            while not Path(f"{other}.pid").exists():     # both have something to do
                assert time.monotonic() < deadline
                time.sleep(0.01)

        def test_wrong(web):
            assert get(web.address, "/wrong") == 503
        """
    )
    done = project.runpytest_subprocess(*QUIET, "-n", "2", "--dist", "load")
    done.assert_outcomes(passed=8, failed=1)
    done.stdout.fnmatch_lines(["*- rascal -*", "*path=/wrong status=200*"])
    pids = [int(path.read_text()) for path in project.path.glob("*.pid")]
    assert len(set(pids)) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_session_that_does_not_use_it_starts_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        def test_it():
            assert "rascal.testing._plugin" in sys.modules
            heavy = ("rascal.testing._node", "rascal.control.client", "rascal.language")
            assert [name for name in heavy if name in sys.modules] == []
        """
    )
    project.makeconftest("")
    project.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)
