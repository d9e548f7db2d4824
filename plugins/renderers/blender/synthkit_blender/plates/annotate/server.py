# SPDX-License-Identifier: Apache-2.0
"""The page's server: on this machine alone, for whoever has the secret of its address.

A page of another site could send requests here by the user's browser: their ``Origin`` or ``Host`` is not ours, and
they do not know the secret, a random part of every path.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from synthkit.errors import SynthkitError
from synthkit_blender.plates.annotate.desk import Desk

ADDRESS = "127.0.0.1"
MOST_BYTES = 4_000_000
SCRIPTS = ("camera", "changes", "drawing", "fields", "page", "shaping", "state", "view")
ASSETS = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    **{f"{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"


class AnnotateServer(ThreadingHTTPServer):
    """Serves the page for a desk; ``url`` is where.

    Args:
        port: 0 for any that is free.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.desk, self.secret = desk, secrets.token_urlsafe(18)
        own = self.server_address[1]
        self.hosts = frozenset(f"{name}:{own}" for name in (ADDRESS, "localhost"))

    @property
    def url(self) -> str:
        """The page's address, with its secret."""
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}/"


class _Handler(BaseHTTPRequestHandler):
    server: AnnotateServer
    server_version, sys_version = "synthkit", ""

    def do_GET(self) -> None:
        """Answer for the page, its parts and the photos."""
        place = self._admitted()
        if place is None:
            return
        path, query = place
        if path in ASSETS:
            name, kind = ASSETS[path]
            self._send(resources.files(__package__).joinpath(name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "api/folder":
            self._answer(self.server.desk.overview)
        elif path == "api/photo":
            self._answer(lambda: self.server.desk.photo(query.get("name", "")))
        elif path == "photo.jpg":
            self._answer(lambda: self.server.desk.jpeg(query.get("name", "")))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        """Answer for cameras, checks, saving and rendering."""
        place = self._admitted()
        if place is None:
            return
        actions: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "api/camera": self.server.desk.camera,
            "api/check": lambda values: {"problems": self.server.desk.check(values)},
            "api/save": self.server.desk.save,
            "api/render": self.server.desk.render,
        }
        if place[0] not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
            return
        values = self._body()
        if values is not None:
            self._answer(lambda: actions[place[0]](values))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: paths hold the secret."""

    def _admitted(self) -> tuple[str, dict[str, str]] | None:
        """Return the path behind the secret and the query, or refuse."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host not in self.server.hosts or origin not in (None, f"http://{host}"):
            self._refuse(HTTPStatus.FORBIDDEN, "this address is for its own page")
            return None
        parts = urlsplit(self.path)
        secret, slash, path = parts.path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(secret.encode(), self.server.secret.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the address lacks the secret that synthkit printed")
            return None
        return path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    def _body(self) -> Mapping[str, Any] | None:
        """Return the JSON object that was sent, or refuse."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdecimal() or int(length) > MOST_BYTES:
            self._refuse(HTTPStatus.BAD_REQUEST, f"expected JSON of at most {MOST_BYTES} bytes")
            return None
        try:
            values = json.loads(self.rfile.read(int(length)))
        except ValueError:
            values = None
        if not isinstance(values, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "expected a JSON object")
            return None
        return values

    def _answer(self, work: Callable[[], Any]) -> None:
        try:
            result = work()
        except SynthkitError as error:
            self._json({"problems": str(error).splitlines()}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            self._json({"problems": [f"the request makes no sense: {error!r}"]}, HTTPStatus.BAD_REQUEST)
        else:
            if isinstance(result, bytes):
                self._send(result, "image/jpeg")
            else:
                self._json(result, HTTPStatus.OK)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # what else was sent is not read
        self._json({"problems": [reason]}, status)

    def _json(self, value: Any, status: HTTPStatus) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
