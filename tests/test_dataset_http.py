# SPDX-License-Identifier: Apache-2.0
"""Data sets at an HTTP server, as a bucket is published: the parts that are asked for cross the network, no more."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter, verify
from synthkit.dataset.tools.filter import Conditions, filtered
from synthkit.errors import DatasetError, WorkError
from synthkit.sample import Person, Sample

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp", reason="HTTP needs aiohttp (extra 'stream')")


class Published(SimpleHTTPRequestHandler):
    """Files with byte ranges and without listings, as object stores serve them."""

    def __init__(self, *args, server_log, ranges, **kwargs):
        self.sent, self.ranges = server_log, ranges
        super().__init__(*args, **kwargs)

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if self.ranges else None
        part = data[int(asked[1]) : int(asked[2]) + 1] if asked else data
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "GET":
            self.sent.append((self.path, len(part)))
            self.wfile.write(part)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def publish():
    """Return a function that serves a folder and returns its URL and the list of what was sent."""
    servers = []

    def serve(folder, *, ranges=True):
        sent = []
        handler = partial(Published, directory=str(folder), server_log=sent, ranges=ranges)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", sent

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(tmp_path):
    """A set of three shards of some 300 kB each."""
    with DatasetWriter(tmp_path / "www" / "set", identity={"what": "http"}, scenes=24, scenes_per_shard=8) as writer:
        for n in writer.pending_scenes():
            image = np.random.default_rng(n).integers(0, 256, (112, 112, 3), np.uint8)
            people = [Person(box_xyxy_px=(1, 2, 30, 40))] * (n % 2)
            writer.spool.put(n, [Sample(f"s{n:04d}", image, people=people)])
            writer.finished(n)
        writer.finalise()
    return tmp_path / "www" / "set"


def test_one_sample_takes_its_own_bytes_and_the_small_tables(folder, publish):
    url, sent = publish(folder.parent)
    data = Dataset.open(f"{url}/set")
    assert len(data) == 24
    opened = list(sent)
    assert not any(path.endswith(".tar") for path, _ in opened)
    np.testing.assert_array_equal(data[17].image, Dataset.open(folder)[17].image)
    tars = [(path, size) for path, size in sent[len(opened) :] if path.endswith(".tar")]
    assert [path for path, _ in tars] == ["/set/shards/000002.tar"]
    assert tars[0][1] < (folder / "shards" / "000002.tar").stat().st_size / 6
    assert data.by_key("s0003").key == "s0003"


def test_streaming_verifying_and_copying_read_it_all(folder, publish, tmp_path):
    url, _ = publish(folder.parent)
    near = {sample.key: sample.image.tobytes() for sample in Dataset.open(folder)}
    assert {s.key: s.image.tobytes() for s in Dataset.open(f"{url}/set").stream(seed=1, epochs=1)} == near
    report = verify.verify(f"{url}/set")
    assert (report.samples, report.problems) == (24, ())
    made, _ = filtered(f"{url}/set", tmp_path / "copy", Conditions(min_people=1))
    assert [sample.key for sample in made] == [f"s{n:04d}" for n in range(1, 24, 2)]
    assert made.manifest.notes["parents"][0]["path"] == f"{url}/set"


def test_a_tar_of_its_own_is_read_by_its_headers(folder, publish):
    url, _ = publish(folder.parent)
    data = Dataset.open(f"{url}/set/shards/000001.tar")
    assert [sample.key for sample in data] == [f"s{n:04d}" for n in range(8, 16)]


def test_what_cannot_be_had_is_one_line(folder, publish, tmp_path):
    url, _ = publish(folder.parent)
    with pytest.raises(DatasetError, match=r"/nothing: is no data set") as caught:
        Dataset.open(f"{url}/nothing")
    assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match="cannot be read"):
        Dataset.open("http://127.0.0.1:9/set")
    whole, _ = publish(folder.parent, ranges=False)
    with pytest.raises(DatasetError, match=r"tar: cannot be read: this server sends whole files alone, no byte ranges"):
        Dataset.open(f"{whole}/set")[3]


def test_nothing_is_written_to_http(folder, publish):
    url, _ = publish(folder.parent)
    with pytest.raises(WorkError, match=r"/new/.* cannot be written"):
        app(["render", "--renderer=discs", f"--out={url}/new", "--workers=1"], standalone_mode=False)
