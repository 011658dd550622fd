"""The connection that all three have."""

import os

import pika

QUEUE = "thumbnails"


def connect():
    parameters = pika.URLParameters(os.environ["BROKER_URL"])
    parameters.socket_timeout = 5
    parameters.blocked_connection_timeout = 5
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_declare(f"{QUEUE}.done", durable=True)
    return connection, channel
