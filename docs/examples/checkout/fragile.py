"""The checkout of a small shop, as one writes it at first. It has retries."""

import pymysql
import redis

SCHEMA = """
CREATE TABLE items (name VARCHAR(40) PRIMARY KEY, price INT, stock INT);
CREATE TABLE charges (number INT AUTO_INCREMENT PRIMARY KEY, order_id VARCHAR(40), price INT);
"""


class Shop:
    def __init__(self, db, cache):
        self.db = db
        self.cache = redis.Redis(*cache)

    def connect(self):
        host, port = self.db
        return pymysql.connect(
            host=host, port=port, user="shop", password="secret", database="shop"
        )

    def price_of(self, item):
        known = self.cache.get(f"price:{item}")
        if known:
            return int(known)
        price = self.look_up(item)
        self.cache.set(f"price:{item}", price, ex=60)
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
            except pymysql.err.OperationalError:
                if not attempts_left:
                    raise
        self.cache.lpush("mails", order)
        return "paid"

    def charge(self, order, item):
        price = self.price_of(item)
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE items SET stock = stock - 1 WHERE name = %s", [item])
            cursor.execute("INSERT INTO charges (order_id, price) VALUES (%s, %s)", (order, price))
            connection.commit()
