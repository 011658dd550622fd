"""A proxy before the database, one before the cache, and a shop that knows only them."""

import importlib
import os

import pymysql
import pytest
import redis
from pymysql.constants import CLIENT

from rascal.testing import proxy

MYSQL = os.environ.get("SHOP_MYSQL", "127.0.0.1:3306")
REDIS = os.environ.get("SHOP_REDIS", "127.0.0.1:6379")


@pytest.fixture(scope="session")
def db():
    with proxy("mysql", upstream=MYSQL, name="db") as db:
        yield db


@pytest.fixture(scope="session")
def cache():
    with proxy("redis", upstream=REDIS, name="cache") as cache:
        yield cache


@pytest.fixture
def tables():
    """The database itself, past the proxy, and empty; the cache is emptied too."""
    host, _, port = MYSQL.rpartition(":")
    with pymysql.connect(
        host=host,
        port=int(port),
        user="shop",
        password="secret",
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS,
    ) as tables:
        with tables.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS shop; CREATE DATABASE shop")
        redis.Redis(*REDIS.split(":")).flushall()
        yield tables


@pytest.fixture
def shop(db, cache, tables):
    module = importlib.import_module(os.environ.get("SHOP", "mended"))
    tables.select_db("shop")
    with tables.cursor() as cursor:
        cursor.execute(module.SCHEMA + "INSERT INTO items VALUES ('teapot', 12, 100)")
    return module.Shop(db.address, cache.address)


@pytest.fixture
def charges(tables):
    """Counts how often an order was charged."""

    def count(order):
        with tables.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM charges WHERE order_id = %s", [order])
            return cursor.fetchone()[0]

    return count
