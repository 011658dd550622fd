"""POST / asks for a thumbnail, GET / tells how many are done."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from broker import QUEUE, connect


def done(channel):
    queue = channel.queue_declare(f"{QUEUE}.done", durable=True)
    return {"done": queue.method.message_count}


class Api(BaseHTTPRequestHandler):
    def do_POST(self):
        self.answer(lambda channel: channel.basic_publish("", QUEUE, b"cat.jpg") or {"asked": 1})

    def do_GET(self):
        if self.path == "/health":
            self.reply(200, {"status": "ok"})
        else:
            self.answer(done)

    def answer(self, ask):
        try:
            connection, channel = connect()
            try:
                self.reply(200, ask(channel))
            finally:
                connection.close()
        except Exception as error:
            self.reply(503, {"error": repr(error)})

    def reply(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", 8000), Api).serve_forever()
