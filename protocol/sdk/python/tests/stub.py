"""A server that answers as a test tells it."""

import http.server
import threading
from contextlib import contextmanager


@contextmanager
def serving(*answers):
    """Serves the answers (status, headers, body) in turn, the last one again and again;
    None hangs up. Yields the URL and what was asked: method, path, headers and body."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given = answers[min(len(asked), len(answers) - 1)]
            asked.append((self.command, self.path, self.headers, body))
            if callable(given):
                given = given(asked[-1])
            if given is None:
                self.close_connection = True
                return
            status, headers, text = given
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_POST = do_HEAD = do_PATCH = do_DELETE = answer

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
