"""Mend: bounded connections in lanes of their own, time-outs everywhere, few retries.

Reads cannot use up the connections of orders, nor the other way round. A statement gets what is
left of the request's time. Only what is safe to do again is done again (a deadlock; the work of
this shop is idempotent), and only within the budget; when most calls fail a circuit breaker answers
for the database. Mistake: shop/fragile/database.py.
"""

from collections.abc import Callable
from typing import TypeVar

import pymysql
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

from shop import settings
from shop.errors import Unavailable
from shop.resilient import limits
from shop.resilient.guards import Breaker, Budget, left

T = TypeVar("T")

DEADLOCK = 1213
LOST = 2013  # in the middle of a statement, COMMIT perhaps
READ_ONLY = (1290, 1836)


class Lane:
    """A pool of connections with its breaker and its budget."""

    def __init__(self, name: str) -> None:
        self.engine = _engine(limits.DATABASE_CONNECTIONS[name])
        self.breaker = Breaker("database")
        self.budget = Budget()

    def run(self, work: Callable[[Session], T]) -> T:
        self.budget.called()
        while True:
            self.breaker.check()
            try:
                with Session(self.engine, expire_on_commit=False) as session:
                    result = work(session)
                    session.commit()
            except Unavailable:  # it took the request's time
                self.breaker.failed()
                raise
            except NoConnection:
                raise Unavailable("database is busy") from None
            except (OperationalError, InternalError) as error:
                code = error.orig.args[0] if error.orig.args else 0
                if code != DEADLOCK:
                    self.breaker.failed()
                if code in (DEADLOCK, LOST) and self.budget.spend():
                    continue
                raise Unavailable("database") from error
            self.breaker.succeeded()
            return result


def _engine(connections: int) -> Engine:
    engine = create_engine(
        settings.sqlalchemy_url(settings.DATABASE),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=limits.DATABASE_POOL,
        pool_recycle=limits.DATABASE_AGE,
        pool_pre_ping=True,
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": limits.DATABASE_CONNECT,
            "read_timeout": limits.DATABASE_STATEMENT,
            "write_timeout": limits.DATABASE_STATEMENT,
        },
    )

    # PyMySQL has one time-out a connection: it is set anew for each statement.
    @event.listens_for(engine, "before_cursor_execute")
    def starts(connection, cursor, statement, parameters, context, many):
        cursor.connection._read_timeout = left(limits.DATABASE_STATEMENT, "the database")

    @event.listens_for(engine, "checkin")
    def returned(connection, record):
        if connection is not None:
            connection._read_timeout = limits.DATABASE_STATEMENT

    # One connection that failed says nothing about the others; one that leads to a server that
    # only reads any more leads to the wrong server.
    @event.listens_for(engine, "handle_error")
    def failed(context):
        context.invalidate_pool_on_disconnect = False
        error = context.original_exception
        if isinstance(error, pymysql.Error) and error.args[0] in READ_ONLY:
            context.is_disconnect = True

    return engine


_lanes = {name: Lane(name) for name in limits.DATABASE_CONNECTIONS}


def run(work: Callable[[Session], T], lane: str = "reads") -> T:
    return _lanes[lane].run(work)
