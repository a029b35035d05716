"""An example of a service that Safepoint can halt and resume (docs/services.md). Standard library only.

    SAFEPOINT_SECRET=whsec_... python3 docs/examples/python/service.py 127.0.0.1:9100
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["SAFEPOINT_SECRET"].removeprefix("whsec_"))


class Gate:
    """Counts the pieces of work that use the database; halting waits until there are none."""

    def __init__(self):
        self.changed = threading.Condition()
        self.working = 0
        self.halted = False

    def enter(self):
        with self.changed:
            if self.halted:
                return False
            self.working += 1
            return True

    def leave(self):
        with self.changed:
            self.working -= 1
            self.changed.notify_all()

    def halt(self):
        with self.changed:
            self.halted = True
            self.changed.wait_for(lambda: self.working == 0)

    def resume(self):
        with self.changed:
            self.halted = False


GATE = Gate()


def verified(headers, body):
    """Check a call's signature by the Standard Webhooks scheme, and that the call is not an old one."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
        return False
    content = b".".join([headers.get("webhook-id", "").encode(), stamp.encode(), body])
    want = "v1," + base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(want, given) for given in headers.get("webhook-signature", "").split())


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.answer(503 if GATE.halted else 200)
        elif not GATE.enter():
            self.answer(503, "Back in a moment.")
        else:
            try:
                self.answer(200, "done")  # here the database is used
            finally:
                GATE.leave()

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("content-length", 0)), 65536))
        if self.path != "/safepoint" or not verified(self.headers, body):
            return self.answer(401, "the call is not signed with our secret, or too old")
        kind = json.loads(body)["type"]
        if kind == "safepoint.halt":
            GATE.halt()
        elif kind == "safepoint.resume":
            GATE.resume()
        else:
            return self.answer(400, "unknown type")
        self.answer(200)

    def answer(self, status, text=""):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Service)
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    server.serve_forever()
