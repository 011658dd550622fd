"""Prints how many thumbnails are done."""

from broker import QUEUE, connect

connection, channel = connect()
print(channel.queue_declare(f"{QUEUE}.done", durable=True).method.message_count)
connection.close()
