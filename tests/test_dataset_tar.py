# SPDX-License-Identifier: Apache-2.0
"""Archives: the same bytes each time, readable by everyone; nothing in a stranger's is trusted."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthkit.dataset import Dataset, tar
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.limits import MAX_MEMBER_BYTES
from synthkit.dataset.stores import LocalStore
from synthkit.errors import DatasetError


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def scan(path):
    return list(tar.scan(LocalStore(path.parent), path.name))


def index_of(path):
    return Index.scan(LocalStore(path.parent), path.name)


def archive(path, members, form=tarfile.PAX_FORMAT, **changes):
    with tarfile.open(path, "w", format=form) as out:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in changes.items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(data))
    return path


@given(st.lists(st.tuples(st.text("abcé", min_size=1, max_size=40), st.binary(max_size=2000)), max_size=6))
@settings(deadline=None)
def test_packed_members_are_what_the_standard_library_reads(tmp_path_factory, members):
    data = b"".join(tar.pack(name, content) for name, content in members)
    data += tar.ending(len(data))
    assert len(data) % 10240 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        listed = opened.getmembers()
        assert [(m.name, opened.extractfile(m).read()) for m in listed] == members
        assert all((m.mtime, m.uid, m.gid, m.mode) == (0, 0, 0, 0o644) for m in listed)
    path = tmp_path_factory.mktemp("t") / "a.tar"
    path.write_bytes(data)
    assert [(m.name, data[m.offset : m.offset + m.size]) for m in scan(path)] == members


def test_long_names_are_refused_when_writing():
    with pytest.raises(DatasetError, match="longer than 100"):
        tar.pack("é" * 51, b"")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_common_kind_of_archive_is_read(tmp_path, form):
    names = ["a/short.png", "d" * 60 + "/" + "n" * 90 + ".png"]
    path = archive(tmp_path / "a.tar", [(name, picture()) for name in names], form)
    assert [member.name for member in scan(path)] == names
    data = Dataset.open(path)
    assert [sample.key for sample in data] == [name.removesuffix(".png").replace("/", "_") for name in names]
    assert data[0].image[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "a\\..\\evil.png", "a\nb.png"])
def test_names_that_could_become_paths_are_refused(tmp_path, name):
    path = archive(tmp_path / "a.tar", [(name, picture())])
    with pytest.raises(DatasetError, match=r"a\.tar: member name .* is refused"):
        Dataset.open(path)
    assert [item.name for item in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = archive(tmp_path / "a.tar", [("a.png", b"")], type=kind, linkname="/etc/passwd")
    with pytest.raises(DatasetError, match="no regular file"):
        Dataset.open(path)


def header_with_size(field):
    block = bytearray(tar.pack("a.png", b"")[:512])
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x" * 100, b"x" * 2048, tar.pack("a.png", b"data")[:600], tar.pack("a.png", b"data"),
        header_with_size(b"77777777777\0") + bytes(1024),
        header_with_size(b"\x80" + b"\x7f" * 11) + bytes(1024),
        header_with_size(b"\xff" * 12) + bytes(1024),
        header_with_size(b"abcdefghijk\0") + bytes(1024),
        tar.pack("a.png", b"data").replace(b"a.png", b"b.png", 1) + bytes(1024),
    ],
)  # fmt: skip
def test_damaged_archives_are_one_clear_line(tmp_path, data):
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"a\.tar: ") as caught:
        Dataset.open(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", ["9" * 14, "9" * 40, "-3", "x"])
def test_lies_in_extended_headers_are_found(tmp_path, size):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as out:
        info = tarfile.TarInfo("a.png")
        info.pax_headers = {"size": size}
        out.addfile(info)
    with pytest.raises(DatasetError):
        Dataset.open(tmp_path / "a.tar")


@given(st.binary(max_size=1500), st.integers(0, 1400))
@settings(deadline=None)
def test_noise_never_raises_anything_else(tmp_path_factory, noise, place):
    data = bytearray(tar.pack("a.png", picture()) + tar.pack("a.json", b"{}") + bytes(1024))
    data[place : place + len(noise)] = noise
    path = tmp_path_factory.mktemp("t") / "a.tar"
    path.write_bytes(data)
    with contextlib.suppress(DatasetError):
        list(Dataset.open(path))


def test_members_group_by_the_first_dot_and_come_once(tmp_path):
    path = archive(tmp_path / "a.tar", [("k.png", picture()), ("k.Mask.PNG", picture()), ("k.cls", b"1"), (".x", b"")])
    index = index_of(path)
    assert index.entry(0).key == "k"
    assert [suffix for suffix, _, _ in index.entry(0).members] == ["png", "mask.png", "cls"]
    with pytest.raises(DatasetError, match="comes twice"):
        index_of(archive(tmp_path / "b.tar", [("k.png", picture()), ("k.png", picture())]))


def npz(path, **changes):
    good = Index.of([])
    arrays = {name: getattr(good, name) for name in ("keys", "scene", "content", "first", "suffixes", "suffix")}
    arrays |= {"offset": good.offset, "size": good.size}
    np.savez(path, **{**arrays, **changes})
    return path.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": np.array([b"a"])}, {"first": np.array([5])}, {"first": np.array([], np.int64)},
        {"offset": np.array([1.5])}, {"keys": np.array([{}], dtype=object)}, {"suffix": np.zeros(3, np.uint16)},
        {"offset": np.array([1 << 40]), "size": np.array([1]), "suffix": np.array([0], np.uint16),
         "first": np.array([0, 1]), "keys": np.array([b"a"]), "scene": np.array([0]),
         "content": np.zeros((1, 32), np.uint8), "suffixes": np.array([b"png"])},
    ],
)  # fmt: skip
def test_indexes_that_do_not_fit_are_refused(tmp_path, changes):
    assert len(Index.from_npz(npz(tmp_path / "good.npz"), 0, "a.npz")) == 0
    with pytest.raises(DatasetError, match="is damaged"):
        Index.from_npz(npz(tmp_path / "bad.npz", **changes), 10240, "a.npz")


def test_compressed_indexes_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", keys=np.zeros(1000))
    with pytest.raises(DatasetError, match="compressed"):
        Index.from_npz((tmp_path / "a.npz").read_bytes(), 0, "a.npz")


def zipped(target, compression=zipfile.ZIP_STORED):
    """An index as another program would write it: with sizes of 32 bits."""
    index = Index.of([Entry("a", 0, bytes(32), (("png", 512, 7),))])
    with zipfile.ZipFile(target, "w", compression) as archive:
        for field in attrs.fields(Index):
            buffer = io.BytesIO()
            np.save(buffer, getattr(index, field.name))
            archive.writestr(f"{field.name}.npy", buffer.getvalue())
    return index


def test_indexes_with_small_sizes_are_read():
    buffer = io.BytesIO()
    index = zipped(buffer)
    assert Index.from_npz(buffer.getvalue(), 2048, "a.npz").entry(0) == index.entry(0)
    assert buffer.getvalue() != index.to_npz()


class Pipe(io.RawIOBase):
    """What cannot be gone back in: sizes come after the data then."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_indexes_that_are_not_as_ours_are_refused_not_guessed():
    whole = Index.of([Entry("a", 0, bytes(32), (("png", 512, 7),))]).to_npz()
    pipe = Pipe()
    zipped(pipe)
    with pytest.raises(DatasetError, match="was written in one go"):
        Index.from_npz(pipe.data, 2048, "a.npz")
    for place in range(0, whole.index(b"PK\1\2"), 7):
        changed = whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]
        with contextlib.suppress(DatasetError):  # a time, or a version: nothing that counts
            assert Index.from_npz(changed, 2048, "a.npz").to_npz() == whole
        with pytest.raises(DatasetError, match="is damaged"):
            Index.from_npz(whole[:place], 2048, "a.npz")


def test_an_index_of_endless_columns_is_refused_before_it_fills_the_memory():
    empty = b"PK\3\4" + bytes(22) + b"\1\0\0\0"  # a member of no bytes, whose name has one
    with pytest.raises(DatasetError, match="more than 64 columns"):
        Index.from_npz(b"".join(empty + bytes([n % 256]) for n in range(100_000)), 2048, "a.npz")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz"])
def test_compressed_archives_are_said_to_be_so(tmp_path, name):
    with tarfile.open(tmp_path / name, "w:gz") as out:
        info = tarfile.TarInfo("a.png")
        info.size = 2000
        out.addfile(info, io.BytesIO(np.random.default_rng(0).bytes(2000)))
    with pytest.raises(DatasetError, match="it is compressed: unpack it"):
        Dataset.open(tmp_path / name)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=["L", "N"]), min_size=1, max_size=40),
       st.integers(0, MAX_MEMBER_BYTES))  # fmt: skip
def test_headers_are_those_of_the_standard_library(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    assert tar.header(name, size) == info.tobuf(format=tarfile.USTAR_FORMAT, encoding="utf-8", errors="strict")


def test_what_an_archive_cannot_hold_is_refused():
    with pytest.raises(DatasetError, match="longer than the"):
        tar.header("a.png", MAX_MEMBER_BYTES + 1)
