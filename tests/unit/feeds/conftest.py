"""A small real HTTP server that answers as it is told and keeps what it was sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.lanes import free_plan


class Ingest(ThreadingHTTPServer):
    """Answers with `script`, one (status, body) a request, then with 202; a status of 0 hangs until the server is closed."""

    daemon_threads = True

    def __init__(self, script=(), port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.script = list(script)
        self.requests = []
        self.heard = threading.Condition()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def events(self):
        return [json.loads(body) for _, _, body in self.requests]

    def wait_for(self, count, timeout=10):
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.requests) >= count, timeout), f"only {len(self.requests)} of {count} requests came"

    def close(self):
        self.closing.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is part of these tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with server.heard:
            status, answer = server.script.pop(0) if server.script else (202, "")
            server.requests.append((self.path, dict(self.headers), body))
            server.heard.notify_all()
        if status == 0:
            server.closing.wait(30)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args):
        """Tests are quiet."""


@pytest.fixture
def ingest():
    """A function that starts such a server; all are closed at the end."""
    servers = []

    def start(script=(), port=0):
        servers.append(Ingest(script, port or free_plan().ingest))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
