"""The log as the hdrh package reads it: the same counts, the same percentiles."""

import base64
import random
from collections import Counter
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st
from recording import done

from rascal.histogram import Histogram, bounds
from rascal.load.hdrlog import hdr_bytes, log_lines
from rascal.load.recorder import Recorder
from rascal.load.results import Results
from rascal.load.types import Meters

START = 1_700_000_000.25


def decoded(histogram: Histogram) -> HdrHistogram:
    return HdrHistogram.decode(base64.b64encode(hdr_bytes(histogram)))


@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, 86_000_000_000)), max_size=50))
def test_nothing_is_lost(raw: list[int]) -> None:
    histogram = Histogram()
    for value in raw:
        histogram.record(value)
    found = decoded(histogram)
    assert found.get_total_count() == len(raw)
    counts = {
        item.value_iterated_to: item.count_added_in_this_iter_step
        for item in found.get_recorded_iterator()
    }
    assert counts == {bounds(index)[1]: n for index, n in histogram.buckets.items()}


def test_percentiles_are_the_same() -> None:
    histogram, chance = Histogram(), random.Random(3)
    for _ in range(5000):
        histogram.record(int(chance.lognormvariate(10, 1)))
    found = decoded(histogram)
    for share in (50, 90, 99, 99.9):
        there = found.get_value_at_percentile(share)
        assert histogram.percentile(share) * 1e6 == pytest.approx(there, rel=1 / 128)


def test_a_delta_that_was_taken_back_is_left_out() -> None:
    histogram = Histogram()
    histogram.record(1000)
    histogram.record(5000)
    histogram.record(5000, -1)
    assert decoded(histogram).get_total_count() == 1


def run() -> Results:
    results, chance = Results("17"), random.Random(1)
    for agent in ("a", "b"):
        recorder = Recorder("17", agent)
        for second in range(4):
            for _ in range(50):
                took = chance.lognormvariate(-4, 1)
                done(recorder, "check out, fast", second + 0.5, took, late=0.01)
                done(recorder, "pay", second + 0.5, took, chance.choice(("served", "shed")))
            recorder.planned("buy", second + 0.5)
            recorder.iteration("buy", second + 0.5, second + 0.5, second + 1.5)
            results.add(recorder.report(second, Meters(), last=second == 3))
    return results


def test_the_log_is_read_by_hdrh(tmp_path: Path) -> None:
    results = run()
    path = tmp_path / "run.hlog"
    path.write_text("\n".join(log_lines(results, START)) + "\n", encoding="utf-8")
    reader = HistogramLogReader(str(path), HdrHistogram(1, 86_400_000_000, 2))
    tags: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    stamps = []
    while (found := reader.get_next_interval_histogram()) is not None:
        tags[found.get_tag()] += found.get_total_count()
        lines[found.get_tag()] += 1
        stamps.append(found.get_start_time_stamp())
    assert reader.get_start_time_sec() == START
    reader.close()
    total = results.total("flow", ["pay"])
    assert tags == {
        "check_out_fast": 400,
        "check_out_fast.actual": 400,
        "pay": total.served.count,
        "pay.actual": total.served.count,
        "pay.explicit": total.explicit.count,
        "scenario.buy": 8,
        "scenario.buy.actual": 8,
    }
    assert set(lines.values()) == {4}
    assert stamps == sorted(stamps)
    assert stamps[0] == START * 1000 and stamps[-1] == (START + 3) * 1000


def test_the_lines() -> None:
    lines = list(log_lines(run(), START))
    assert lines[0] == "#[Histogram log format version 1.3]"
    assert (
        "#[StartTime: 1700000000.250 (seconds since epoch), Tue Nov 14 22:13:20 UTC 2023]" in lines
    )
    legend = lines.index(
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
    )
    tag, second, length, most, data = lines[legend + 1].split(",")
    assert (tag, second, length) == ("Tag=check_out_fast", "0.000", "1.000")
    assert float(most) == pytest.approx(run().rows("flow", "check out, fast")[0].served.most / 1000)
    assert data.startswith("HISTFAAAA")


def test_a_run_without_calls_has_a_log() -> None:
    assert len(list(log_lines(Results("17")))) == 5
