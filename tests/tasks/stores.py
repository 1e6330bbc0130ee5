"""Servers on 127.0.0.1 that hand out files: a web server, and as much of S3 as reading takes."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

Files = Mapping[str, tuple[bytes, Mapping[str, str]]]
"""By path: content and headers."""


class _Handler(BaseHTTPRequestHandler):
    files: Files
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        parts = urlsplit(self.path)
        self.asked.append((self.path, self.headers.get("Authorization")))
        query = parse_qs(parts.query, keep_blank_values=True)
        if "list-type" in query:
            self._send(200, self._listing(parts.path.strip("/"), query), {"Content-Type": "application/xml"}, body)
        elif parts.path in self.files:
            content, headers = self.files[parts.path]
            status, headers = 200, dict(headers)
            if wanted := self.headers.get("Range"):
                first, last = wanted.removeprefix("bytes=").split("-")
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                status, content = 206, content[int(first) : int(last) + 1]
            self._send(status, content, headers, body)
        else:
            self._send(404, b"", {}, body)

    def _listing(self, bucket: str, query: Mapping[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        names = [path.removeprefix(f"/{bucket}/") for path in self.files]
        found = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.files[f'/{bucket}/{name}'][0])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name in names
            if name.startswith(prefix)
        )
        n_found = found.count("<Key>")
        facts = f"<KeyCount>{n_found}</KeyCount><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{facts}{found}</ListBucketResult>".encode()

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def serving(files: Files) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Yield the server's address, such as 127.0.0.1:8000, and the (path, Authorization) of each request."""
    asked: list[tuple[str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"files": files, "asked": asked}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
