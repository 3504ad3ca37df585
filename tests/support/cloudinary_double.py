"""A double of Cloudinary: a small HTTP server, written from its documented protocol. It is not Cloudinary.

`cloudinary_account` knows what to answer; here it is said, or goes wrong where the test wants `trouble`.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cloudinary_account import CLOUD, Asset, Double, Refused, Trouble
from multipart import MultipartParser


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True
    double: Double

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        given, file = self._form(body)
        self._act(given, file)

    def do_GET(self) -> None:
        self._act(dict(parse_qsl(urlsplit(self.path).query)), None)

    def _form(self, body: bytes) -> tuple[dict[str, str], bytes]:
        kind = email.message_from_string(
            f"Content-Type: {self.headers['Content-Type']}\n\n", policy=email.policy.default
        )
        boundary = kind.get_boundary()
        if boundary is None:
            return dict(parse_qsl(body.decode())), b""
        given, file = dict[str, str](), b""
        for part in MultipartParser(BytesIO(body), boundary, part_limit=50, memory_limit=2**28, disk_limit=2**28):
            if part.name == "file":
                file = part.file.read()
            else:
                given[part.name] = part.value
        return given, file

    def _act(self, given: dict[str, str], file: bytes | None) -> None:
        path = urlsplit(self.path).path
        action = "resources" if path == f"/v1_1/{CLOUD}/resources/raw/authenticated" else path.rpartition("/")[2]
        trouble = self.double.next_trouble(action) or Trouble(action)
        time.sleep(trouble.silent)
        if trouble.status is not None:
            self._send(trouble.status, json.dumps({"error": {"message": trouble.message}}).encode(), trouble.headers)
            return
        if trouble.junk is not None:
            self._send(200, trouble.junk, {"Content-Type": "text/html", **trouble.headers})
            return
        try:
            if action == "download":
                self._download(self.double.found(given), trouble)
                return
            told = self._told(path, action, given, file)
        except Refused as refused:
            self._send(refused.status, json.dumps({"error": {"message": refused.message}}).encode())
            return
        if trouble.lost:
            self.close_connection = True
            return
        answer = json.dumps(told | trouble.edit).encode()
        if trouble.drip:
            self._drip(answer, trouble.drip)
            return
        self._send(200, answer, {"Content-Type": "application/json"})

    def _drip(self, answer: bytes, pause: float) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # nobody waits for the end
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer))
            for byte in answer:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(pause)

    def _told(self, path: str, action: str, given: dict[str, str], file: bytes | None) -> dict[str, Any]:
        if action == "resources":
            return self.double.resources(given, self.headers["Authorization"])
        if path != f"/v1_1/{CLOUD}/raw/{action}":
            raise Refused(401, "Invalid cloud_name")
        match action:
            case "upload":
                window, upload_id = self.headers["Content-Range"], self.headers["X-Unique-Upload-Id"]
                return self.double.upload(given, file or b"", window, upload_id)
            case "destroy":
                return self.double.destroy(given)
            case "explicit":
                return self.double.found(given).told()
        raise Refused(404, "unknown action")

    def _download(self, asset: Asset, trouble: Trouble) -> None:
        body, status, headers = asset.body, 200, {"ETag": f'"{asset.told()["etag"]}"'}
        wanted = self.headers["Range"]
        if wanted is not None and self.double.knows_ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or 10**15), len(body) - 1)
            if start >= len(body):
                self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
            body, status = body[start : end + 1], 206
        self._send(status, body[: trouble.short], headers | trouble.headers, trouble.half)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, half: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        chunked = status == 200 and not self.double.tells_length
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))))
        self.end_headers()
        try:
            sent = body if half is None else body[:half]
            for at in range(0, len(sent), 65536) if chunked else ():
                piece = sent[at : at + 65536]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write((b"0\r\n\r\n" if half is None else b"") if chunked else sent)
        except OSError:
            self.close_connection = True
        self.close_connection = self.close_connection or half is not None


class Server(ThreadingHTTPServer):
    """A thread for each connection; clients may hang up as they like."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def cloudinary_double() -> Iterator[Double]:
    """One on a free loopback port, with nothing in it."""
    double = Double()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"double": double}))
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
