"""Known systems, each judged once; in script/full twenty times, which makes docs/judged.md.

Four experiments run side by side, the longest first, in processes of their own; a test takes
what became of its system. A run that proves nothing says nothing about the judge: it is repeated
(a busy machine makes some), unless invalid is what it should be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from systems_place import KNOWN, Judged, Known, judged, missing

from rascal.demo.children import ChildError
from rascal.experiment.reading import read_experiment
from rascal.experiment.statistics import quantile, wilson

TIMES = int(os.environ.get("RASCAL_SYSTEMS", "20" if os.environ.get("RASCAL_FULL") else "1"))
"""How often each is judged."""
SIDE_BY_SIDE = int(os.environ.get("RASCAL_SIDE_BY_SIDE", "4"))
AGAIN = 2
"""How often a run that proves nothing is repeated at most."""
WRONG = 0.05
"""The share that may be wrong."""
PLACE = Path(__file__).parent
PAGE = PLACE.parents[1] / "docs" / "judged.md"
ENOUGH = 20
"""So many of each make the page."""

pytestmark = pytest.mark.timeout(600 + 500 * TIMES)


@attrs.define
class Row:
    """A system and all that became of it."""

    known: Known
    found: list[Judged] = attrs.Factory(list)
    repeated: int = 0
    """Invalid runs that were done once more."""

    @property
    def right(self) -> int:
        """How many named the wanted verdict."""
        return sum(one.right for one in self.found)


def once(known: Known, folder: Path, seed: int) -> tuple[Judged, int]:
    """One judgement, and how many invalid runs came before it."""
    for again in range(AGAIN + 1):
        place = f"{known.name}-{seed}" + f"-{again}" * bool(again)
        found = attempt(known, folder / place, seed)
        if found.found != "invalid" or known.wanted == "invalid":
            break
    return found, again


def attempt(known: Known, folder: Path, seed: int) -> Judged:
    """One run; where it broke off, that is what was found."""
    try:
        return judged(known, folder, seed)
    except (ChildError, OSError) as error:
        return Judged(
            system=known.name, wanted=known.wanted, found="", between=(), status=2,
            sentence=f"it broke off: {error}", seconds=0.0,
        )  # fmt: skip


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, list[Future[tuple[Judged, int]]]]]:
    """All runs of the systems that were asked for, by name; started at once."""
    items = [item for item in request.session.items if getattr(item, "callspec", None)]
    names = [item.callspec.params.get("name") for item in items]  # type: ignore[attr-defined]
    wanted = [one for one in KNOWN.values() if one.name in names and not missing(one)]
    folder = tmp_path_factory.mktemp("systems")
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    found: dict[str, list[Future[tuple[Judged, int]]]] = {one.name: [] for one in wanted}
    for seed in range(1, TIMES + 1):
        for one in wanted:
            found[one.name].append(pool.submit(once, one, folder, seed))
    try:
        yield found
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def table() -> Iterator[list[Row]]:
    """Collects rows; makes the page of them if it is all of it."""
    rows: list[Row] = []
    yield rows
    if len(rows) == len(KNOWN) and min(len(row.found) for row in rows) >= ENOUGH:
        PAGE.write_text(page(rows), "utf-8")


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_system_is_judged_right(
    name: str, running: Mapping[str, list[Future[tuple[Judged, int]]]], table: list[Row]
) -> None:
    known = KNOWN[name]
    if missing(known):
        pytest.skip(missing(known))
    row = Row(known)
    for future in running[name]:
        found, repeated = future.result()
        row.found.append(found)
        row.repeated += repeated
        print(f"{name}: {found.found or 'nothing'} in {found.seconds:.0f} s: {found.sentence}")
    table.append(row)
    wrong = [one for one in row.found if not one.right]
    assert len(wrong) <= WRONG * TIMES, wrong
    assert all(one.same for one in row.found), [one for one in row.found if not one.same]
    # What it names for sure is as expected: the exit code says so, too.
    assert all(one.status == 0 for one in row.found if one.right and len(one.between) == 1)


def test_the_files_say_what_they_expect() -> None:
    assert {file.stem for file in PLACE.glob("*.yml")} == set(KNOWN)
    for known in KNOWN.values():
        found = read_experiment(str(known.file))
        assert (found.name, str(found.expect)) == (known.name, f"exactly {known.wanted}")
        assert found.dependencies == (known.needs,)


def page(rows: list[Row]) -> str:
    """The page about all of them."""
    times = max(len(row.found) for row in rows)
    lines = [
        "<!-- Written by script/full (tests/systems/test_systems.py). -->",
        "",
        "# Judged right",
        "",
        f"Small real services in tests/systems, over real servers and through a real proxy, whose "
        f"behaviour is known by construction. Each was judged {times} times with different seeds, "
        f"{SIDE_BY_SIDE} experiments side by side on one machine. “At least” is the lower end of "
        f"the 95 % interval (Wilson). Runs that proved nothing although they should were "
        f"repeated, at most {AGAIN} times: a machine that is busy elsewhere makes some.",
        "",
        "| system | what happens | wanted | right | at least | otherwise | repeated | mean time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        others = sorted({one.found or "broke off" for one in row.found if not one.right})
        low, _ = wilson(row.right, len(row.found), quantile(0.975))
        mean = sum(one.seconds for one in row.found) / len(row.found)
        lines.append(
            f"| {row.known.name} | {happens(row.known)} | "
            f"{row.known.wanted} | {row.right} of {len(row.found)} | {low:.0%} | "
            f"{', '.join(others) or '–'} | {row.repeated or '–'} | {mean:.0f} s |"
        )
    return "\n".join(lines) + "\n"


def happens(known: Known) -> str:
    """The first line of its experiment."""
    return re.sub(r"^# ", "", known.file.read_text("utf-8").splitlines()[0])
