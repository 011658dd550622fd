"""Random load profiles, as text."""

from __future__ import annotations

from hypothesis import strategies as st

times = st.sampled_from(["250ms", "1s", "1.5s", "2s", "3s", "3333ms"])


def profiles(most: int = 200, unit: str = "/s") -> st.SearchStrategy[str]:
    """A profile of up to four stretches, levels up to `most`."""
    level = st.integers(0, most).map(lambda n: f"{n}{unit}")
    span = st.tuples(st.integers(0, most), st.integers(0, most)).map(
        lambda two: f"{min(two)}..{max(two)}{unit}"
    )
    stretch = st.one_of(
        st.builds("hold {} for {}".format, level, times),
        st.builds("ramp {} for {}".format, st.one_of(level, span), times),
        st.builds("spike {} for {}".format, level, times),
        st.builds("steps {} for {} count {}".format, span, times, st.integers(1, 5)),
        st.builds("wave {} for {} every {}".format, span, times, times),
        st.builds("pause {}".format, times),
    )
    return st.lists(stretch, min_size=1, max_size=4).map(", ".join)
