"""Feeders: reading sources, orders, shards, ends."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from worlds import Town

from rascal.errors import ConfigError, ConfigErrors, LoadError
from rascal.load import data_file, feeder
from rascal.load.book import load_bundle
from rascal.load.feeders import Feeder, Shard, UsedUp

ROWS = [f"row {n}" for n in range(10)]
CSV = b'\xef\xbb\xbfid,name\r\n1,"a, b"\r\n\r\n2,c\r\n'
SCENARIO = "@scenario('a')\nasync def a(user): user.memo['got'] = user.data(rows)\n"


def shards(source: Any, order: str, agents: int, seed: int = 1) -> list[Shard]:
    made = feeder(source, order=order)
    return [Shard(made, seed, index, tuple(range(agents))) for index in range(agents)]


def drain(shard: Shard, limit: int = 1000) -> list[Any]:
    taken = []
    try:
        while len(taken) < limit:
            taken.append(shard.take(lambda lane: 0.5))
    except UsedUp:
        pass
    return taken


@pytest.mark.parametrize("order", ["sequential", "unique"])
@pytest.mark.parametrize("agents", [1, 2, 3, 12])
@pytest.mark.parametrize("source", [ROWS, lambda: iter(ROWS)])
def test_items_used_once_are_used_once_over_all_agents(
    order: str, agents: int, source: Any
) -> None:
    parts = [drain(shard) for shard in shards(source, order, agents)]
    assert sorted(item for part in parts for item in part) == ROWS
    assert parts[0] == ROWS[::agents]


def test_circular_begins_again() -> None:
    first, second = shards(ROWS[:4], "circular", 2)
    assert drain(first, 5) == ["row 0", "row 2", "row 0", "row 2", "row 0"]
    assert drain(second, 3) == ["row 1", "row 3", "row 1"]


def test_a_shuffle_gives_each_item_once_a_pass_and_another_order_each() -> None:
    first, second = shards(ROWS, "shuffle", 2)
    passes = [drain(first, 5) + drain(second, 5) for _ in range(3)]
    assert all(sorted(one) == ROWS for one in passes)
    assert len({tuple(one) for one in passes}) == 3
    again, _ = shards(ROWS, "shuffle", 2)
    assert again.feeder is not first.feeder
    other = shards(ROWS, "shuffle", 1, seed=2)[0]
    assert drain(other, 10) != passes[0]


def test_random_follows_the_users_own_draws() -> None:
    (shard,) = shards(ROWS, "random", 1)
    assert [shard.take(lambda lane, n=n: n) for n in (0.0, 0.55, 0.999)] == [
        "row 0",
        "row 5",
        "row 9",
    ]


def test_sources_without_an_end_are_read_as_they_are_needed() -> None:
    shard = shards(lambda: count(), "sequential", 3)[1]
    assert drain(shard, 4) == [1, 4, 7, 10]
    with pytest.raises(ConfigError, match="holds 1,000,000 items at most"):
        feeder(lambda: count(), order="shuffle")


def test_an_iterator_can_be_read_by_one_run_only() -> None:
    made = feeder(iter(ROWS), order="unique")
    assert drain(Shard(made, 1, 0, (0,))) == ROWS
    with pytest.raises(LoadError, match="can be read once only"):
        Shard(made, 1, 0, (0,))


def test_an_agent_that_came_later_has_no_share() -> None:
    made = feeder(ROWS)
    with pytest.raises(LoadError, match="agent 5 came after the start and has no share"):
        Shard(made, 1, 5, (0, 1))
    assert Shard(feeder(ROWS, "random"), 1, 5, (0, 1)).take(lambda lane: 0.0) == "row 0"


def test_files_are_read_by_their_ending() -> None:
    files = {
        "a.csv": CSV,
        "b.jsonl": b'{"id": 1}\n\n[2]\n',
        "in/c.txt": b"x\n\ny\n",
        "d.tsv": b"p\tq\n1\t2\n",
    }
    source = "".join(f"{n[-5]} = feeder('{n}')\n" for n in ("a.csv", "in/c.txt", "d.tsv"))
    town = Town(source + "b = feeder('b.jsonl')\nrows = a\n" + SCENARIO, files=files)
    by = {made.name: made.items for made in town.book.feeders}
    assert by["a.csv"] == [{"id": "1", "name": "a, b"}, {"id": "2", "name": "c"}]
    assert by["b.jsonl"] == [{"id": 1}, [2]]
    assert by["in/c.txt"] == ["x", "y"]
    assert by["d.tsv"] == [{"p": "1", "q": "2"}]
    assert set(files) < set(town.book.files)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"id,id\n1,2\n", "a.csv:1: the first line of a CSV file names its columns"),
        ("a.csv", b"", "shop.py:2: a.csv holds no items"),
        ("a.csv", b"id,n\n1,2\n3\n", "a.csv:3: 1 values for 2 columns (id, n)"),
        ("a.csv", b'id\n"x\n', "a.csv:2: no CSV: "),
        ("a.csv", b"id\n", "shop.py:2: a.csv holds no items"),
        ("a.csv", b"id\n\xff\n", "a.csv:2: the text is not UTF-8"),
        ("a.jsonl", b"1\n{\n", "a.jsonl:2: no JSON: "),
        ("a.xls", b"x", "shop.py:2: 'a.xls' is no file that a feeder reads; endings: .csv"),
    ],
)
def test_a_bad_file_is_said_with_its_line(name: str, content: bytes, says: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        Town(f"rows = feeder('{name}')\n" + SCENARIO, files={name: content})
    assert str(found.value).startswith(says)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("feeder('itms.csv')", "no file 'itms.csv' beside the scenario file. Did you mean 'items."),
        ("feeder([1], order='sequentail')", "orders: sequential, random, shuffle, circular, uniqu"),
        ("feeder([1], per='run')", "per is 'iteration' or 'user', found 'run'"),
        ("feeder([])", "the feeder holds no items"),
        ("feeder(5)", "a feeder takes a file's name or an iterable, found 5"),
        ("data_file('x.png')", "there is no file 'x.png'"),
    ],
)
def test_a_bad_declaration_is_said_with_its_line(call: str, says: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        Town(f"rows = {call}\n" + SCENARIO, files={"items.csv": CSV})
    assert str(found.value).startswith("shop.py:2: ") and says in str(found.value)


def test_outside_a_book_files_are_looked_for_beside_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"test_feeders.py:\d+: cannot read 'no.csv': No such"):
        feeder("no.csv")
    assert data_file("test_feeders.py").startswith(b'"""Feeders')


def test_an_item_stays_until_the_iteration_or_the_user_ends() -> None:
    town = Town(
        "rows = feeder([1, 2, 3])\nown = feeder(['x', 'y', 'z'], per='user', order='unique')\n"
        "@scenario('a')\n"
        "async def a(user): user.memo.setdefault('got', []).append(\n"
        "    (user.data(rows), user.data(rows), user.data(own)))\n"
    )
    first, second = town.user(0), town.user(1)
    for user in (first, first, second):
        assert town.run(user) == ("served", "")
    assert first.memo["got"] == [(1, 1, "x"), (2, 2, "x")]
    assert second.memo["got"] == [(3, 3, "y")]


def test_the_end_of_a_sequential_feeder_is_said_once_and_handed_to_the_engine() -> None:
    town = Town("rows = feeder([1, 2])\n" + SCENARIO)
    said: list[str] = []
    town.world.exhausted = said.append
    ends = [town.run(town.user(n)) for n in range(4)]
    assert [end[0] for end in ends] == ["served", "served", "check_failed", "check_failed"]
    assert said and "is used up: this agent has taken all of its 2 items" in said[0]
    (event,) = town.report().events
    assert (event.kind, event.text) == ("limit", said[0])


def test_the_end_of_a_unique_feeder_is_an_error() -> None:
    town = Town("rows = feeder([1, 2], order='unique')\n" + SCENARIO)
    said: list[str] = []
    town.world.exhausted = said.append
    ends = [town.run(town.user(n)) for n in range(4)]
    assert [end[0] for end in ends] == ["served", "served", "check_failed", "check_failed"]
    (event,) = town.report().events
    assert event.kind == "error" and "is used up" in event.text and not said


def test_agents_of_one_run_never_share_an_item() -> None:
    book = load_bundle(
        {
            "shop.py": b"from rascal.load import *\nrows = feeder(range(50), 'unique')\n"
            + SCENARIO.encode()
        },
        "shop.py",
    )
    got: list[int] = []
    for index in (0, 3, 4):
        town = Town("", book=book, index=index, members=(0, 3, 4))
        for number in range(16):
            user = town.user(number)
            town.run(user)
            got.append(user.memo["got"])
    assert len(got) == len(set(got)) == 48


def test_a_feeder_says_what_it_is() -> None:
    made: Feeder = feeder(ROWS, "circular")
    assert repr(made) == "feeder('the feeder', order='circular')"
