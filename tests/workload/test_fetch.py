"""Downloads against a local server: whole, checked, or not there at all."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kvolume.errors import InputError, UnknownNameError
from kvolume.workload import TRACES, fetch

BODY = b"arrival_s,input_length,output_length\n0,1,1\n" * 5000
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY) + (9 if self.path == "/short.csv" else 0)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def home():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_checked_download(home, tmp_path):
    seen = []
    file = fetch("mine", tmp_path, url=f"{home}/log.csv", sha256=SHA.upper(), progress=lambda *x: seen.append(x))
    assert file == tmp_path / "log.csv"
    assert file.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))


def test_an_unknown_checksum_is_said(home, tmp_path):
    with pytest.warns(UserWarning, match=f"not verified: no checksum is known. Its sha256 is {SHA}"):
        fetch("mine", tmp_path / "x.csv", url=f"{home}/log.csv")


@pytest.mark.parametrize(
    ("page", "sha256", "message"),
    [
        ("missing.csv", SHA, "404"),
        ("log.csv", "0" * 64, f"has the sha256 {SHA}"),
        ("short.csv", SHA, f"broke off after {len(BODY)} of {len(BODY) + 9} bytes"),
        ("log.csv", "abc", "64 hexadecimal digits"),
    ],
)
def test_failures_leave_nothing_behind(page, sha256, message, home, tmp_path):
    with pytest.raises(InputError, match=message):
        fetch("mine", tmp_path / "x.csv", url=f"{home}/{page}", sha256=sha256)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_forced(home, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        fetch("mine", file, url=f"{home}/log.csv", sha256=SHA)
    assert file.read_text() == "mine"
    assert fetch("mine", file, url=f"{home}/log.csv", sha256=SHA, force=True).read_bytes() == BODY


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://127.0.0.1/x", "http://", "http://127.0.0.1:1/x", "http://[/x",
                                 "http://127.0.0.1/a b"])  # fmt: skip
def test_addresses_that_cannot_work(url, tmp_path):
    with pytest.raises(InputError):
        fetch("mine", tmp_path / "x", url=url)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_trace_has_the_nearest_name(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'azure2023_code'"):
        fetch("azure2023_cod", tmp_path)


@pytest.mark.parametrize("name", TRACES)
def test_every_trace_names_its_terms(name):
    trace = TRACES[name]
    assert trace.url.startswith("https://")
    assert trace.licence
    assert trace.attribution
    assert trace.sha256 is None or len(trace.sha256) == 64
