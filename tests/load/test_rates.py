"""Rates count what began while load was offered, not what went on after it."""

from recording import done

from rascal.load.measuring import rates
from rascal.load.recorder import Recorder
from rascal.load.results import Results
from rascal.load.types import Meters


def test_calls_after_the_end_of_the_load_are_in_no_rate() -> None:
    recorder, results = Recorder("1", "a"), Results()
    for second in range(7):
        for number in range(10):
            done(recorder, "browse", second + number / 10)
        results.add(recorder.report(second, Meters(), last=second == 6))
    assert rates(results, ["browse"], 5.0) == (10.0, 10.0)
    assert rates(results, ["browse"], 7.0) == (10.0, 10.0)
    results.deadlines["browse"] = 1e-9
    assert rates(results, ["browse"], 5.0) == (10.0, 0.0)
