"""A MySQL for machines that have none: mysql-mimic speaks the protocol, SQLite keeps the rows.

    python -m rascal.demo.mysql PORT FILE

One SQLite connection a session, so that transactions, their rollback, and what other sessions
see of them are real. It understands the SQL that the demo uses, nothing of MySQL's own.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from typing import Any

from mysql_mimic import (  # type: ignore[import-untyped, unused-ignore]
    IdentityProvider,
    MysqlServer,
    NativePasswordAuthPlugin,
    Session,
    User,
)
from mysql_mimic.errors import (  # type: ignore[import-untyped, unused-ignore]
    ErrorCode,
    MysqlError,
)
from mysql_mimic.types import ServerStatus  # type: ignore[import-untyped, unused-ignore]

from rascal.demo.servers import PASSWORD, USER

_COMMENT = re.compile(r"^\s*(/\*.*?\*/\s*)*", re.DOTALL)


class OneUser(IdentityProvider):  # type: ignore[misc, unused-ignore]
    """Lets the demo's user in."""

    def get_plugins(self) -> list[NativePasswordAuthPlugin]:
        """How one logs in."""
        return [NativePasswordAuthPlugin()]

    async def get_user(self, username: str) -> User | None:
        """The user of this name."""
        if username != USER:
            return None
        secret = NativePasswordAuthPlugin.create_auth_string(PASSWORD)
        return User(USER, auth_string=secret, auth_plugin=NativePasswordAuthPlugin.name)


class SqliteSession(Session):  # type: ignore[misc, unused-ignore]
    """One client's session."""

    path = ""

    async def init(self, connection: Any) -> None:
        """The client has logged in."""
        await super().init(connection)
        self.client = connection
        self.rows = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        self.rows.execute("PRAGMA journal_mode=WAL")
        self._tell()

    async def close(self) -> None:
        """The client has gone: what it did not commit is undone."""
        await super().close()
        self.rows.close()

    async def handle_query(self, sql: str, attrs: dict[str, str]) -> Any:
        """Run one statement."""
        sql = _COMMENT.sub("", sql).rstrip().rstrip(";")
        words = sql.upper().split()
        verb = words[0] if words else ""
        try:
            if verb in ("SET", "USE", "SHOW"):
                return None
            if words[:2] == ["START", "TRANSACTION"]:
                sql = "BEGIN"
            if verb in ("COMMIT", "ROLLBACK") and not self.rows.in_transaction:
                return None
            found = self.rows.execute(sql)
            if found.description is None:
                return None
            return found.fetchall(), [column[0] for column in found.description]
        except sqlite3.Error as error:
            syntax = isinstance(error, sqlite3.OperationalError)
            code = ErrorCode.PARSE_ERROR if syntax else ErrorCode.UNKNOWN_ERROR
            raise MysqlError(str(error), code) from error
        finally:
            self._tell()

    def _tell(self) -> None:
        """Put into the status flags whether a transaction is open."""
        flags = ServerStatus.SERVER_STATUS_AUTOCOMMIT
        if self.rows.in_transaction:
            flags |= ServerStatus.SERVER_STATUS_IN_TRANS
        self.client.status_flags = flags


def main() -> None:
    """Serve on 127.0.0.1 until killed."""
    SqliteSession.path = sys.argv[2]
    server = MysqlServer(session_factory=SqliteSession, identity_provider=OneUser())
    asyncio.run(server.serve_forever(host="127.0.0.1", port=int(sys.argv[1])))


if __name__ == "__main__":
    main()
