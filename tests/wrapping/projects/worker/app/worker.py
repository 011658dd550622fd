"""Makes thumbnails, one after the other; connects again when the broker is lost."""

import logging
import os
import time

from broker import QUEUE, connect

logging.basicConfig(level=os.environ.get("LOG_LEVEL", "warning").upper())
logging.getLogger("pika").setLevel("WARNING")


def work(channel, method, properties, body):
    logging.debug("a thumbnail of %s", body)
    channel.basic_publish("", f"{QUEUE}.done", body)
    channel.basic_ack(method.delivery_tag)


while True:
    try:
        connection, channel = connect()
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(QUEUE, work)
        channel.start_consuming()
    except Exception as error:
        logging.warning("the broker is lost: %r", error)
        time.sleep(1)
