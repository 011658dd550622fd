"""The same checkout, after its tests have met a database and a cache that misbehave."""

import contextlib

import pymysql
import redis

SCHEMA = """
CREATE TABLE items (name VARCHAR(40) PRIMARY KEY, price INT, stock INT);
CREATE TABLE charges (order_id VARCHAR(40) PRIMARY KEY, price INT);
CREATE TABLE mails (order_id VARCHAR(40) PRIMARY KEY);
"""


class Shop:
    def __init__(self, db, cache):
        self.db = db
        self.cache = redis.Redis(*cache, socket_timeout=0.5)

    def connect(self):
        host, port = self.db
        return pymysql.connect(
            host=host,
            port=port,
            user="shop",
            password="secret",
            database="shop",
            connect_timeout=1,
            read_timeout=0.5,
        )

    def price_of(self, item):
        with contextlib.suppress(redis.RedisError):  # a cache is a help, not a need
            known = self.cache.get(f"price:{item}")
            if known:
                return int(known)
        try:
            price = self.look_up(item)
        except pymysql.err.OperationalError:
            return int(self.cache.get(f"last-price:{item}"))  # better an old one than none
        with contextlib.suppress(redis.RedisError):
            self.cache.set(f"price:{item}", price, ex=60)
            self.cache.set(f"last-price:{item}", price)
        return price

    def look_up(self, item):
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT price FROM items WHERE name = %s", [item])
            return cursor.fetchone()[0]

    def checkout(self, order, item):
        for attempts_left in (2, 1, 0):
            try:
                self.charge(order, item)
                break
            except pymysql.err.IntegrityError:  # the attempt before has charged after all
                break
            except pymysql.err.OperationalError:
                if not attempts_left:
                    raise
        with contextlib.suppress(redis.RedisError):
            self.send_mails()
        return "paid"

    def charge(self, order, item):
        price = self.price_of(item)
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO charges VALUES (%s, %s)", (order, price))
            cursor.execute("INSERT INTO mails VALUES (%s)", [order])
            cursor.execute("UPDATE items SET stock = stock - 1 WHERE name = %s", [item])
            connection.commit()

    def send_mails(self):
        """Those that are due: of this order, and of orders when the queue was not there."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT order_id FROM mails")
            for (order,) in cursor.fetchall():
                self.cache.lpush("mails", order)
                cursor.execute("DELETE FROM mails WHERE order_id = %s", [order])
                connection.commit()
