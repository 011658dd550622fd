"""What PyMySQL sees of every catalogue error, in front of MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import Case, check, identity, look, usable
from mysql_place import (
    ALL,
    FIRST,
    INSERT,
    ONE,
    UPDATE,
    Place,
    Shop,
    by_fresh,
    cleared,
    run,
)
from pymysql.err import DataError, IntegrityError, OperationalError, ProgrammingError

from rascal.wire.mysql_errors import ERRORS

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def place(mysql_node: Place) -> Iterator[Place]:
    with cleared(mysql_node):
        yield mysql_node


@pytest.fixture
def seen(request: pytest.FixtureRequest, place: Place) -> Callable[..., None]:
    return place.keeper(request, "PyMySQL")


# ---- catalogue errors ----------------------------------------------------------------------------


def error(
    name: str,
    code: int,
    text: str,
    does: Callable[[Shop], Any] = INSERT,
    sees: type[Exception] = OperationalError,
    options: str = "",
    match: str = "",
    after: str = "yes",
    maria: tuple[int, str] = (0, ""),
    fired: int | None = 1,
) -> tuple[Case, Case]:
    """What MariaDB says is `maria`, where it differs."""
    sentence = f"error({name}{options})" + (f" match {match}" if match else "")
    cases = []
    for number, words in ((maria[0] or code, maria[1] or text), (code, text)):
        pattern = rf"^\({number}, ['\"]{words}"
        cases.append(Case(name, sentence, does, sees, pattern, after, fired))
    return cases[0], cases[1]


STOPPING = "Server shutdown in progress"
LOGIN = by_fresh(ONE)
DUPLICATE = "Duplicate entry '1' for key '"
ERROR_CASES = [
    error("too_many_connections", 1040, "Too many connections", LOGIN),
    error(
        "host_blocked", 1129, "Host 'localhost' is blocked because of many connection errors", LOGIN
    ),
    error(
        "access_denied",
        1045,
        "Access denied for user 'shop'@'localhost'",
        LOGIN,
        match="command=LOGIN",
    ),
    error("password_expired", 1862, "Your password has expired", LOGIN, match="command=LOGIN"),
    error(
        "too_many_user",
        1203,
        "User shop already has more than 'max_user_connections'",
        LOGIN,
        match="command=LOGIN",
    ),
    error(
        "user_limit",
        1226,
        "User 'shop' has exceeded the 'max_questions' resource",
        maria=(1226, "User 'shop' has exceeded the 'max_queries_per_hour' resource"),
    ),
    error(
        "unknown_database",
        1049,
        "Unknown database 'gone'",
        lambda shop: shop.connection.select_db("gone"),
        options=", subject=gone",
    ),
    error("deadlock", 1213, "Deadlock found when trying to get lock; try restarting"),
    error("lock_wait", 1205, "Lock wait timeout exceeded; try restarting transaction"),
    error(
        "nowait",
        3572,
        "Statement aborted because lock",
        run("SELECT * FROM items WHERE id = 1 FOR UPDATE NOWAIT"),
        maria=(1205, "Lock wait timeout exceeded"),
    ),
    error(
        "read_only",
        1290,
        "The MySQL server is running with the --read-only option",
        maria=(1290, "The MariaDB server is running with the --read-only option"),
    ),
    error(
        "super_read_only",
        1290,
        "The MySQL server is running with the --super-read-only option",
        maria=(1290, "The MariaDB server is running with the --read-only option"),
    ),
    error("read_only_transaction", 1792, "Cannot execute statement in a READ ONLY transaction"),
    error("read_only_mode", 1836, "Running in read-only mode"),
    error("shutdown", 1053, STOPPING, after="anew"),
    error("offline", 3032, "The server is currently in offline mode", after="anew"),
    error("killed_query", 1317, "Query execution was interrupted"),
    error(
        "killed_connection",
        3169,
        "Session was killed",
        after="anew",
        maria=(1927, "Connection was killed"),
    ),
    error(
        "timeout",
        3024,
        "Query execution was interrupted, maximum statement execution time",
        ONE,
        maria=(1969, r"Query execution was interrupted \(max_statement_time exceeded\)"),
    ),
    error("table_full", 1114, "The table 'orders' is full"),
    error("disk_full", 1021, r"Disk full \(orders\); waiting for someone to free some space"),
    error("out_of_memory", 1041, "Out of memory"),
    error("out_of_sort_memory", 1038, "Out of sort memory", ALL),
    error(
        "commit_error",
        1180,
        "Got error 28 - 'No space left on device' during COMMIT",
        lambda shop: shop.connection.commit(),
        match="statement=COMMIT",
        maria=(1180, 'Got error 28 "No space left on device" during COMMIT'),
    ),
    error(
        "certification",
        3101,
        "Plugin instructed the server to rollback the current transaction",
        maria=(1213, "Deadlock found when trying to get lock"),
    ),
    error(
        "unknown_statement",
        1243,
        r"Unknown prepared statement handler \(0\) given to ",
        match="command=QUERY",
    ),
    error(
        "max_statements",
        1461,
        "Can't create more than max_prepared_stmt_count statements",
        run("PREPARE p FROM 'SELECT 1'"),
        match="statement=PREPARE",
    ),
    error(
        "packet_too_large",
        1153,
        "Got a packet bigger than 'max_allowed_packet' bytes",
        after="anew",
    ),
    error("no_such_table", 1146, r"Table 'shop.items' doesn't exist", ONE, ProgrammingError),
    error(
        "unknown_column",
        1054,
        "Unknown column 'name' in 'field list'",
        ONE,
        options=", subject=name",
        maria=(1054, "Unknown column 'name' in 'SELECT'"),
    ),
    error("table_changed", 1412, "Table definition has changed, please retry transaction", ONE),
    error(
        "duplicate_key",
        1062,
        DUPLICATE + "orders.PRIMARY'",
        sees=IntegrityError,
        maria=(1062, DUPLICATE + "PRIMARY'"),
    ),
    error(
        "foreign_key",
        1452,
        r"Cannot add or update a child row: a foreign key constraint fails \(`shop`.`orders`",
        sees=IntegrityError,
    ),
    # it was sent before the request came, so its number is 0, which PyMySQL takes for a loss
    error(
        "idle_timeout",
        2013,
        "Lost connection to MySQL server during query",
        after="anew",
    ),
    error(
        "syntax_error",
        1064,
        "You have an error in your SQL syntax; .*your MySQL server version",
        ONE,
        ProgrammingError,
        maria=(1064, "You have an error in your SQL syntax; .*your MariaDB server version"),
    ),
    error("unknown_command", 1047, "Unknown command", lambda shop: shop.connection.ping(False)),
    error("unknown", 1105, "Unknown error"),
    error("1264", 1264, "Out of range", sees=DataError, options=", text='Out of range'"),
]


@pytest.mark.parametrize("cases", ERROR_CASES, ids=lambda cases: cases[0].name)
def test_errors(cases: tuple[Case, Case], place: Place, seen: Callable[..., None]) -> None:
    check(cases[0 if place.mariadb else 1], place.node, "db", place.client(), seen)
    assert place.orders() == []
    assert ONE(place.direct()) == FIRST


def test_every_error_of_the_catalogue_is_here() -> None:
    assert [case.name for case, _ in ERROR_CASES] == [*ERRORS, "1264"]


ROLLED_BACK = ("deadlock", "certification", "commit_error")
UNTOUCHED = ("lock_wait", "killed_query", "read_only", "table_full", "duplicate_key")
CLOSED = ("shutdown", "killed_connection", "offline", "packet_too_large")


@pytest.mark.parametrize("name", ROLLED_BACK + UNTOUCHED + CLOSED)
def test_what_a_transaction_suffers(name: str, place: Place, seen: Callable[..., None]) -> None:
    """A row is locked by an UPDATE, the next statement is struck: the upstream undoes all of it
    (a third connection gets the lock), keeps it open, or has lost its client."""
    shop = place.client()
    before = identity(shop)
    shop.connection.begin()
    assert UPDATE(shop) == 1
    assert place.locked()
    sentence = f"error({name}) match statement=INSERT and in_transaction=yes"
    with place.node.fault("db", sentence):
        sight = look(INSERT, shop)
        sight.raised(OperationalError if name != "duplicate_key" else IntegrityError)
    if name in UNTOUCHED:
        assert place.locked()
        assert INSERT(shop) == 1
        assert shop.in_transaction
        shop.connection.commit()
        assert ONE(place.direct()) == (("new",),)
        assert place.orders() == ["one"]
    else:
        place.node.control.wait_until(lambda: not place.locked())
        assert ONE(place.direct()) == FIRST
        if name not in CLOSED:
            assert ONE(shop) == FIRST
            assert not shop.in_transaction
    after = usable(shop, before)
    assert after == ("anew" if name in CLOSED else "yes")
    seen("error", f"{sentence} (a row was locked)", sight, after)
