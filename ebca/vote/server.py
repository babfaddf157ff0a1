"""A small server on this machine alone, for a vote without a WebUI."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from ebca.vote.service import Service
from ebca.vote.web import MOST_BYTES, Answer

_HOST = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Serves the page on 127.0.0.1 only; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, service: Service, port: int = 0) -> None:
        """Raises OSError if the port is taken."""
        self.service = service
        super().__init__((_HOST, port), _Handler)

    @property
    def address(self) -> str:
        return f"http://{_HOST}:{self.server_port}/"

    @property
    def names(self) -> set[str]:
        """The Host headers of browsers on this machine. A foreign page whose name is made to
        resolve to this machine sends another one."""
        names = {f"{name}:{self.server_port}" for name in (_HOST, "localhost")}
        return names | {_HOST, "localhost"} if self.server_port == 80 else names


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "ebca", ""
    timeout = 60  # seconds without data

    def do_GET(self) -> None:
        self._answer("GET", b"")

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        told = length.isascii() and length.isdigit()
        if not told or len(length) > 15 or int(length) > MOST_BYTES:
            self.close_connection = True
            self.send_error(413 if told else 411)
            return
        self._answer("POST", self.rfile.read(int(length)))

    def _answer(self, method: str, body: bytes) -> None:
        if self.headers.get("host") not in self.server.names:
            self.close_connection = True
            self.send_error(403)
            return
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query))
        self._send(self.server.service.answer(method, url.path[1:], query, headers, body))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        sent = {"content-type": answer.kind, "content-length": str(len(answer.body))}
        for name, value in {**sent, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the terminal is for messages to the user."""
