"""The errors of MySQL, word for word, and what MariaDB says instead where it differs.

`{user}`, `{host}`, `{database}`, `{table}`, `{column}`, `{key}`, `{near}`, `{id}` and `{handler}`
are filled in from the request; the option `subject` of error(…) names the thing instead.

Source: MySQL Reference Manual, "Server Error Message Reference" (8.0, 9.x); MariaDB Knowledge
Base, "MariaDB Error Codes". tests/integration/test_mysql_answers.py holds them against servers.
"""

from __future__ import annotations

import re

from rascal.wire.types import ErrorSpec, Moment

_CONNECT: tuple[Moment, ...] = ("connect", "greeting")
_LOGIN = ("LOGIN", "AUTH", "CHANGE_USER")
_RUN = ("QUERY", "STMT_EXECUTE", "STMT_BULK_EXECUTE")
_PARSED = ("QUERY", "STMT_PREPARE", "STMT_EXECUTE", "STMT_BULK_EXECUTE")
_STATEMENTS = ("STMT_EXECUTE", "STMT_BULK_EXECUTE", "STMT_RESET", "STMT_FETCH")


def _spec(
    name: str,
    code: int,
    sqlstate: str,
    text: str,
    help: str,
    commands: tuple[str, ...] = (),
    moments: tuple[Moment, ...] = (),
    closes: bool = False,
    rolls_back: bool = False,
) -> ErrorSpec:
    return ErrorSpec(
        name,
        str(code),
        text,
        help,
        source=f"MySQL error {code}",
        moments=moments,
        commands=commands,
        closes=closes,
        rolls_back=rolls_back,
        sqlstate=sqlstate,
    )


_ALL = (
    _spec(
        "too_many_connections",
        1040,
        "08004",
        "Too many connections",
        "max_connections is reached: said instead of the greeting, or at log-in",
        ("CONNECT", *_LOGIN),
        _CONNECT,
        closes=True,
    ),
    _spec(
        "host_blocked",
        1129,
        "HY000",
        "Host '{host}' is blocked because of many connection errors; "
        "unblock with 'mysqladmin flush-hosts'",
        "max_connect_errors connections of this host were broken off: instead of the greeting",
        ("CONNECT",),
        _CONNECT,
        closes=True,
    ),
    _spec(
        "access_denied",
        1045,
        "28000",
        "Access denied for user '{user}'@'{host}' (using password: YES)",
        "wrong password, or one that has been changed",
        _LOGIN,
    ),
    _spec(
        "password_expired",
        1862,
        "HY000",
        "Your password has expired. To log in you must change it using a client that supports "
        "expired passwords.",
        "log-in after the password's lifetime",
        _LOGIN,
        closes=True,
    ),
    _spec(
        "too_many_user",
        1203,
        "42000",
        "User {user} already has more than 'max_user_connections' active connections",
        "the server-wide max_user_connections is reached, at log-in",
        _LOGIN,
        closes=True,
    ),
    _spec(
        "user_limit",
        1226,
        "42000",
        "User '{user}' has exceeded the 'max_questions' resource (current value: 100)",
        "a limit of the account is reached, for an hour: max_questions, max_user_connections",
    ),
    _spec(
        "unknown_database",
        1049,
        "42000",
        "Unknown database '{database}'",
        "log-in or USE with a database that is not there",
        (*_LOGIN, "INIT_DB", "QUERY", "STMT_EXECUTE"),
    ),
    _spec(
        "deadlock",
        1213,
        "40001",
        "Deadlock found when trying to get lock; try restarting transaction",
        "the server has chosen this transaction as the victim and rolled it back",
        _RUN,
        rolls_back=True,
    ),
    _spec(
        "lock_wait",
        1205,
        "HY000",
        "Lock wait timeout exceeded; try restarting transaction",
        "innodb_lock_wait_timeout is over: the statement is undone, the transaction stays open",
        _RUN,
    ),
    _spec(
        "nowait",
        3572,
        "HY000",
        "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set.",
        "SELECT … FOR UPDATE NOWAIT on a locked row (MariaDB: 1205)",
        _RUN,
    ),
    _spec(
        "read_only",
        1290,
        "HY000",
        "The MySQL server is running with the --read-only option so it cannot execute this "
        "statement",
        "a write at a replica, or at a primary that a failover has demoted",
        _RUN,
    ),
    _spec(
        "super_read_only",
        1290,
        "HY000",
        "The MySQL server is running with the --super-read-only option so it cannot execute this "
        "statement",
        "the same for accounts with all rights (MySQL)",
        _RUN,
    ),
    _spec(
        "read_only_transaction",
        1792,
        "25006",
        "Cannot execute statement in a READ ONLY transaction.",
        "a write within START TRANSACTION READ ONLY",
        _RUN,
    ),
    _spec(
        "read_only_mode",
        1836,
        "HY000",
        "Running in read-only mode",
        "the storage engine takes no writes: innodb_read_only, innodb_force_recovery",
        _RUN,
    ),
    _spec(
        "shutdown",
        1053,
        "08S01",
        "Server shutdown in progress",
        "the server is stopping: the statement under way fails and the connection is closed",
        closes=True,
    ),
    _spec(
        "offline",
        3032,
        "HY000",
        "The server is currently in offline mode",
        "offline_mode is on (MySQL): log-in is refused, connections are closed",
        closes=True,
    ),
    _spec(
        "killed_query",
        1317,
        "70100",
        "Query execution was interrupted",
        "KILL QUERY: the statement ends, the transaction stays open",
        _RUN,
    ),
    _spec(
        "killed_connection",
        3169,
        "HY000",
        "Session was killed",
        "KILL (MariaDB: 1927); as a rule a server closes without a word, as close(…) does",
        closes=True,
    ),
    _spec(
        "timeout",
        3024,
        "HY000",
        "Query execution was interrupted, maximum statement execution time exceeded",
        "max_execution_time is over (MariaDB: 1969, max_statement_time)",
        _RUN,
    ),
    _spec(
        "table_full",
        1114,
        "HY000",
        "The table '{table}' is full",
        "the disk, the tablespace or max_heap_table_size is full",
        _RUN,
    ),
    _spec(
        "disk_full",
        1021,
        "HY000",
        "Disk full ({table}); waiting for someone to free some space... "
        "(errno: 28 - No space left on device)",
        "no space left for temporary tables or a table's file",
        _RUN,
    ),
    _spec(
        "out_of_memory",
        1041,
        "HY000",
        "Out of memory; check if mysqld or some other process uses all available memory; if not, "
        "you may have to use 'ulimit' to allow mysqld to use more memory or you can add more swap "
        "space",
        "the server could not get memory for the statement",
    ),
    _spec(
        "out_of_sort_memory",
        1038,
        "HY001",
        "Out of sort memory, consider increasing server sort buffer size",
        "sort_buffer_size is too small for a row",
        _RUN,
    ),
    _spec(
        "commit_error",
        1180,
        "HY000",
        "Got error 28 - 'No space left on device' during COMMIT",
        "COMMIT failed; the transaction is undone",
        _RUN,
        rolls_back=True,
    ),
    _spec(
        "certification",
        3101,
        "40000",
        "Plugin instructed the server to rollback the current transaction.",
        "group replication: another node's transaction came first (Galera says 1213)",
        _RUN,
        rolls_back=True,
    ),
    _spec(
        "unknown_statement",
        1243,
        "HY000",
        "Unknown prepared statement handler ({id}) given to {handler}",
        "the statement was lost: a failover, or a proxy that changed connections",
        _STATEMENTS,
    ),
    _spec(
        "max_statements",
        1461,
        "42000",
        "Can't create more than max_prepared_stmt_count statements (current value: 16382)",
        "statements are prepared and never closed",
        ("STMT_PREPARE", "QUERY"),
    ),
    _spec(
        "packet_too_large",
        1153,
        "08S01",
        "Got a packet bigger than 'max_allowed_packet' bytes",
        "a request over max_allowed_packet; the connection is closed",
        closes=True,
    ),
    _spec(
        "no_such_table",
        1146,
        "42S02",
        "Table '{database}.{table}' doesn't exist",
        "a migration has renamed or dropped it",
        _PARSED,
    ),
    _spec(
        "unknown_column",
        1054,
        "42S22",
        "Unknown column '{column}' in 'field list'",
        "a migration has renamed or dropped it",
        _PARSED,
    ),
    _spec(
        "table_changed",
        1412,
        "HY000",
        "Table definition has changed, please retry transaction",
        "a table was altered while a transaction held a snapshot of it",
        _RUN,
    ),
    _spec(
        "duplicate_key",
        1062,
        "23000",
        "Duplicate entry '1' for key '{table}.{key}'",
        "INSERT or UPDATE of a value that a unique key has already",
        _RUN,
    ),
    _spec(
        "foreign_key",
        1452,
        "23000",
        "Cannot add or update a child row: a foreign key constraint fails (`{database}`.`{table}`, "
        "CONSTRAINT `{table}_ibfk_1` FOREIGN KEY (`parent_id`) REFERENCES `parent` (`id`))",
        "the row that it points to is not there",
        _RUN,
    ),
    _spec(
        "idle_timeout",
        4031,
        "HY000",
        "The client was disconnected by the server because of inactivity. See wait_timeout and "
        "interactive_timeout for configuring this behavior.",
        "wait_timeout is over (MySQL 8.0.24 and later); the client sees it at its next request",
        closes=True,
    ),
    _spec(
        "syntax_error",
        1064,
        "42000",
        "You have an error in your SQL syntax; check the manual that corresponds to your MySQL "
        "server version for the right syntax to use near '{near}' at line 1",
        "the SQL cannot be parsed",
        _PARSED,
    ),
    _spec(
        "unknown_command",
        1047,
        "08S01",
        "Unknown command",
        "a command that this server does not know",
    ),
    _spec("unknown", 1105, "HY000", "Unknown error", "something else went wrong"),
)

ERRORS = {spec.name: spec for spec in _ALL}
_BY_CODE = {spec.code: spec for spec in reversed(_ALL)}

MARIADB: dict[str, tuple[int, str, str]] = {
    "host_blocked": (
        1129,
        "HY000",
        "Host '{host}' is blocked because of many connection errors; "
        "unblock with 'mariadb-admin flush-hosts'",
    ),
    "password_expired": (
        1862,
        "HY000",
        "Your password has expired. To log in you must change it using a client that supports "
        "expired passwords",
    ),
    "nowait": (1205, "HY000", ERRORS["lock_wait"].text),
    "read_only": (
        1290,
        "HY000",
        "The MariaDB server is running with the --read-only option so it cannot execute this "
        "statement",
    ),
    "super_read_only": (
        1290,
        "HY000",
        "The MariaDB server is running with the --read-only option so it cannot execute this "
        "statement",
    ),
    "read_only_transaction": (
        1792,
        "25006",
        "Cannot execute statement in a READ ONLY transaction",
    ),
    "killed_connection": (1927, "70100", "Connection was killed"),
    "timeout": (1969, "70100", "Query execution was interrupted (max_statement_time exceeded)"),
    "out_of_memory": (1041, "HY000", "Out of memory."),
    "out_of_sort_memory": (
        1038,
        "HY001",
        "Out of sort memory, consider increasing server sort buffer size",
    ),
    "commit_error": (1180, "HY000", 'Got error 28 "No space left on device" during COMMIT'),
    "certification": (1213, "40001", ERRORS["deadlock"].text),
    "unknown_column": (1054, "42S22", "Unknown column '{column}' in 'SELECT'"),
    "user_limit": (
        1226,
        "42000",
        "User '{user}' has exceeded the 'max_queries_per_hour' resource (current value: 100)",
    ),
    "duplicate_key": (1062, "23000", "Duplicate entry '1' for key '{key}'"),
    "disk_full": (
        1021,
        "HY000",
        "Disk full ({table}); waiting for someone to free some space... "
        '(errno: 28 "No space left on device")',
    ),
    "syntax_error": (
        1064,
        "42000",
        "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB "
        "server version for the right syntax to use near '{near}' at line 1",
    ),
}
"""What MariaDB says instead: code, SQLSTATE, text."""

_RAW = re.compile(r"[1-9]\d{3}")


def error_named(name: str) -> ErrorSpec | None:
    """By name or code, else any code from 1000 to 9999: an error of a newer server."""
    spec = ERRORS.get(name) or ERRORS.get(name.lower()) or _BY_CODE.get(name)
    if spec is None and _RAW.fullmatch(name):
        return ErrorSpec(
            name, name, f"Error {name}", "an error that the catalogue has not", sqlstate="HY000"
        )
    return spec
