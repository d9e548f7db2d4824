# SPDX-License-Identifier: Apache-2.0
"""Where the fuzzing begins: proper inputs, and hostile ones of every kind that we could think of.

As a script: ``python fuzz/seeds.py FOLDER`` writes them as a corpus, one folder for each target.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import targets

from synthkit.dataset import description, records, tar

_LARGEST_SEED_BYTES = 1 << 16  # larger ones are for the tests; they would make coverage-guided runs slow


def _tar(*files: tuple[str, bytes], form: int = tarfile.USTAR_FORMAT, **changes: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in changes.items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _block(kind: bytes, name: bytes, size: bytes | int, data: bytes = b"") -> bytes:
    """Return a member as a header that says what it is told to."""
    block = bytearray(tar.pack("a", b"")[:512])
    block[:100] = name[:100].ljust(100, b"\0")
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % 512)


def _pax(**values: str | bytes) -> bytes:
    found = b""
    for key, value in values.items():
        body = b" " + key.replace("__", ".").encode() + b"=" + (value if isinstance(value, bytes) else value.encode())
        length = len(body) + 1
        while len(str(length)) + len(body) + 1 != length:
            length = len(str(length)) + len(body) + 1
        found += str(length).encode() + body + b"\n"
    return _block(b"x", b"pax", len(found), found)


_END = bytes(1024)


def archives() -> dict[str, bytes]:
    """Return tars."""
    kinds = {"symlink": b"2", "link": b"1", "character": b"3", "block": b"4", "pipe": b"6"}
    others = {f"a {name}": _block(kind, b"a.png", 0) + _END for name, kind in kinds.items()}
    return _whole_archives() | _archives_of_odd_headers() | _archives_of_odd_names() | others


def _whole_archives() -> dict[str, bytes]:
    """Return tars that are proper ones, whatever is in them."""
    png = targets.members()["png"]
    files = [(f"a.{suffix}", data) for suffix, data in targets.members().items()]
    return {f"good{form}": _tar(*files, form=form) for form in (0, 1, 2)} | {
        "folders": _tar(("x/y/a.png", png), ("./b.png", png)),
        "long": _tar(("d" * 90 + "/" + "n" * 200 + ".png", png), form=tarfile.GNU_FORMAT),
        "old": _block(b"\0", b"a.png", len(png), png).replace(b"ustar\x0000", bytes(8)) + _END,
        "text alone": _tar(("a.cls", b"1"), ("b.txt", b"2")),
        "scattered": _tar(("a.png", png), ("b.png", png), ("a.json", b"{}")),
        "twice": _tar(("a.png", png), ("a.png", png)),
        "many": _tar(*((f"{n}.txt", b"") for n in range(300))),
        "capitals": _tar(("a.PNG", png), ("a.Depth.NPY", targets.members()["depth.npy"])),
        "sidecars": _tar(("a.json", b'{"schema":1}')),
    }


def _archives_of_odd_headers() -> dict[str, bytes]:
    png, end = targets.members()["png"], _END
    member = _block(b"0", b"a.png", len(png), png)
    return {
        "long name chain": _block(b"L", b"L", 6, b"b.png\0") * 40 + member + end,
        "long name of a megabyte": _block(b"L", b"L", 1 << 20, b"n" * (1 << 20)) + member + end,
        "long link": _block(b"K", b"L", 6, b"b.png\0") + member + end,
        "no end": member,
        "cut": member[:-100],
        "size 2^63": _block(b"0", b"a.png", b"\x80" + (1 << 63).to_bytes(11, "big")) + end,
        "size 2^63-1 pax": _pax(size=str((1 << 63) - 1)) + member + end,
        "size of 15 digits": _pax(size="9" * 15) + member + end,
        "size below zero": _block(b"0", b"a.png", b"\xff" * 12) + end,
        "extended header of 8 GB": _block(b"x", b"pax", b"77777777777\0") + end,
        "pax bomb": _block(b"x", b"pax", 1 << 20, b"4 =\n" * (1 << 18)) + member + end,
        "pax of huge lengths": _block(b"x", b"pax", 512, b"9999999 path=x\n".ljust(512, b"0")) + end,
        "pax of zero lengths": _block(b"x", b"pax", 512, b"0 path=x\n".ljust(512, b"0")) + end,
        "pax path": _pax(path="../../evil.png") + member + end,
        "pax global": _block(b"g", b"pax", 0) + member + end,
        "pax sparse": _pax(GNU__sparse__major="1", GNU__sparse__realsize="9" * 12) + member + end,
        "sparse": _block(b"S", b"a.png", len(png), png) + end,
        "multi-volume": _block(b"M", b"a.png", len(png), png) + end,
        "noise behind": member + end + b"noise" * 400,
    }


def _archives_of_odd_names() -> dict[str, bytes]:
    png, found = targets.members()["png"], {}
    names = {
        "up": "../a.png",
        "absolute": "/etc/a.png",
        "inside": "a/../../b.png",
        "backslash": "..\\a.png",
        "newline": "a\nb.png",
        "escape": "\x1b[2Ja.png",
        "right to left": "a\u202egnp.png",
        "wide dots": "\uff0e\uff0e/a.png",
        "zero width": "a\u200b.png",
        "drive": "C:a.png",
        "dots": "a/./.././b.png",
        "dot": ".png",
        "folder dot": "x.y/a.png",
        "surrogate": "a\udcff.png",
        "space": " .png",
        "device": "CON.png",
        "tilde": "~/a.png",
        "pipe": "pipe:ls|a.png",
    }
    for name, value in names.items():
        raw = value.encode(errors="surrogateescape")
        found[f"name {name}"] = _block(b"0", raw, len(png), png) + _END
        found[f"pax name {name}"] = _pax(path=raw) + _block(b"0", b"a.png", len(png), png) + _END
    return found


def texts() -> dict[str, bytes]:
    """Return JSON of samples."""
    return _texts_of_odd_values() | _odd_texts()


def _texts_of_odd_values() -> dict[str, bytes]:
    person = {
        "instance": 1,
        "identity": "p",
        "head_px": [1, 2],
        "box_xyxy_px": [0, 0, 1, 2],
        "rotated_box": [1, 1, 1, 2, 3],
        "keypoints": {"nose": {"x_px": 1, "y_px": 2, "visible": True, "world_m": [1, 2, 3], "odd": 1}},
        "visible_fraction": 0.5,
        "attributes": {"a": 1},
        "odd": [1],
    }
    camera = {
        "model": "fisheye-polynomial",
        "width_px": 9,
        "height_px": 9,
        "cx_px": 4,
        "cy_px": 4,
        "theta_coefficients": [0.3, 0, 0, 0],
        "max_theta_rad": 1.5,
        "world_from_camera": np.eye(4).tolist(),
        "odd": 1,
    }
    good = {"schema": 1, "people": [person], "camera": camera, "sequence": "s", "frame": 3, "time_s": 0.5, "odd": {}}
    found = {"good": good, "stranger": {"caption": "x"}, "list": [1], "number": 3, "newer": {"schema": 2}}
    huge = 10**4200
    for name, value in {
        "huge": huge,
        "minus": -huge,
        "text": "x",
        "list": [[]],
        "table": {"x": 1},
        "null": None,
    }.items():
        for key in good:
            found[f"{key} {name}"] = {**good, key: value}
        for key in person:
            found[f"person {key} {name}"] = {"schema": 1, "people": [{**person, key: value}]}
        for key in camera:
            found[f"camera {key} {name}"] = {"schema": 1, "camera": {**camera, key: value}}
    return {name: json.dumps(value).encode() for name, value in found.items()}


def _odd_texts() -> dict[str, bytes]:
    deep = 10**6
    return {
        "lists 10^6 deep": b"[" * deep,
        "closed lists 10^6 deep": b"[" * deep + b"]" * deep,
        "tables 10^6 deep": b'{"a":' * deep,
        "lists 101 deep": b'{"schema":1,"meta":{"a":' + b"[" * 99 + b"]" * 99 + b"}}",
        "lists 900 deep": b'{"schema":1,"meta":{"a":' + b"[" * 900 + b"]" * 900 + b"}}",
        "a wide list": b"[" + b"[]," * 10**5 + b"1]",
        "an integer of 10^6 digits": b'{"schema":1,"frame":' + b"9" * deep + b"}",
        "a float of 10^6 digits": b'{"schema":1,"time_s":0.' + b"9" * deep + b"}",
        "an exponent": b'{"schema":1,"time_s":1e999,"meta":{"a":1e999}}',
        "no numbers": b'{"schema":1,"time_s":NaN,"meta":{"a":-Infinity}}',
        "keys twice": b'{"schema":1,"frame":1,"frame":2,"meta":{},"meta":{"a":1}}',
        "half a character": b'{"schema":1,"sequence":"\\ud800","meta":{"\\udfff":"\\ud800"}}',
        "zeros": b'{"schema":1,"sequence":"\\u0000"}',
        "utf-16": '{"schema":1}'.encode("utf-16"),
        "utf-32 deep": ("[" * 200).encode("utf-32"),
        "a mark": b'\xef\xbb\xbf{"schema":1}',
        "no utf-8": b'{"schema":1,"sequence":"\xff"}',
        "empty": b"",
        "carried": json.dumps(
            {"schema": 1, "meta": {description.UNKNOWN: {"camera": {"model": 1}, "meta": 3}}}
        ).encode(),
        "carried text": json.dumps({"schema": 1, "meta": {description.UNKNOWN: "x"}}).encode(),
    }


def _png(
    width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 2, data: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    found = bytearray(b"\x89PNG\r\n\x1a\n")
    for kind, body in [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]:
        found += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return bytes(found)


def _saved(mode: str, form: str, size: tuple[int, int] = (5, 4), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def pictures() -> dict[str, bytes]:
    """Return PNGs and JPEGs."""
    found = {f"png {mode}": _saved(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    found |= {f"jpeg {mode}": _saved(mode, "JPEG") for mode in ("L", "RGB", "CMYK")}
    found["jpeg progressive"] = _saved("RGB", "JPEG", progressive=True)
    pixels = b"".join(b"\0" + bytes(12) for _ in range(4))
    bomb = zlib.compress(bytes(50_000_000), 9)
    frame = struct.pack(">IIIIIHHBB", 0, 1 << 30, 1 << 30, 0, 0, 1, 1, 0, 0)
    jpeg = found["jpeg RGB"]
    start = jpeg.index(b"\xff\xc0")
    found |= {
        "small": _png(4, 4, data=pixels),
        "10^9 pixels": _png(40_000, 25_000, data=pixels),
        "2^62 pixels": _png(1 << 31, 1 << 31, data=pixels),
        "no pixels": _png(0, 4, data=b""),
        "a line of 80 million": _png(80_000_000, 1, data=b"\0"),
        "few data": _png(2000, 2000, data=pixels),
        "too many data": _png(4, 4, data=bytes(20_000_000)),
        "zTXt bomb": _png(4, 4, (b"zTXt", b"k\0\0" + bomb), data=pixels),
        "iTXt bomb": _png(4, 4, (b"iTXt", b"k\0\1\0\0\0" + bomb), data=pixels),
        "iCCP bomb": _png(4, 4, (b"iCCP", b"k\0\0" + bomb), data=pixels),
        "16-bit with bombs": _png(
            4, 4, (b"zTXt", b"k\0\0" + bomb), (b"iCCP", b"k\0\0" + bomb), depth=16, data=bytes(100)
        ),
        "many chunks": _png(4, 4, *[(b"tEXt", b"")] * 200_000, data=pixels),
        "animation": _png(4, 4, (b"acTL", b"\xff" * 8), (b"fcTL", frame), data=pixels),
        "two headers": _png(4, 4, (b"IHDR", struct.pack(">IIBBBBB", 40_000, 25_000, 8, 2, 0, 0, 0)), data=pixels),
        "a long palette": _png(4, 4, (b"PLTE", bytes(3 * 10**5)), colour=3, data=bytes(20)),
        "no palette": _png(4, 4, colour=3, data=bytes(20)),
        "transparency": _png(4, 4, (b"tRNS", bytes(6)), data=pixels),
        "depth 3": _png(4, 4, depth=3, data=pixels),
        "colour 9": _png(4, 4, colour=9, data=pixels),
        "critical stranger": _png(4, 4, (b"ABCD", b"x"), data=pixels),
        "length of 4 GB": _png(4, 4)[:33] + b"\xff\xff\xff\xff" + _png(4, 4)[37:],
        "jpeg of 4 billion pixels": jpeg[: start + 5] + b"\xff\xff\xff\xff" + jpeg[start + 9 :],
        "jpeg of 65535x1200": jpeg[: start + 5] + struct.pack(">HH", 1200, 65535) + jpeg[start + 9 :],
        "jpeg cut": jpeg[: len(jpeg) // 2],
        "jpeg of many scans": jpeg[:-2] + jpeg[jpeg.index(b"\xff\xda") : -2] * 200 + b"\xff\xd9",
        "jpeg of two frames": jpeg[:start] + jpeg[start : start + 19] * 2 + jpeg[start + 19 :],
        "jpeg with exif": jpeg[:2] + b"\xff\xe1\x00\x12Exif\0\0II*\0\xff\xff\xff\xff\0\0" + jpeg[2:],
        "gif": _saved("P", "GIF"),
        "nothing": b"",
    }
    return found


def arrays() -> dict[str, bytes]:
    """Return npy files."""
    found = {}
    for name, value in {
        "f": np.eye(3, dtype="f4"),
        "i": np.arange(4),
        "S": np.array([b"ab"]),
        "b": np.ones((2, 2), bool),
        "fortran": np.asfortranarray(np.eye(3)),
        "none": np.zeros((0, 3)),
        "big": np.eye(2, dtype=">f8"),
        "U": np.array(["a"]),
        "c": np.ones(2, complex),
    }.items():
        buffer = io.BytesIO()
        np.save(buffer, value)
        found[name] = buffer.getvalue()
    shapes = ["(999999999999999,)", "(99999, 99999, 99999)", "(0, 999999999999999)", "()", "(-1,)", "(3", "1, " * 3000]
    shapes.append("(" + "1, " * 70 + ")")
    for shape in shapes:
        for dtype in ("<f8", "|S0", "|S9999", "|O", "<i3", "<M8", "|V8", "<f2", "?"):
            header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            found[f"{dtype} {shape[:20]}"] = (
                b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"12345678"
            )
    header = b"{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (1,), }\n"
    found["code"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    found["long header"] = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + b" " * 100_000
    return found


def _npz(**values: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **values)
    return buffer.getvalue()


def indexes() -> dict[str, bytes]:
    """Return indexes of shards."""
    good = targets.whole_set()[records.index_name(0)]
    with np.load(io.BytesIO(good)) as opened:
        arrays = dict(opened)
    members = len(arrays["offset"])
    changes: dict[str, dict[str, Any]] = {
        "sums overflow": {"offset": np.full(members, 1 << 62), "size": np.full(members, 1 << 62)},
        "unsigned": {"offset": np.full(members, (1 << 64) - 1, np.uint64)},
        "floats": {"size": np.full(members, 1.5)},
        "all the same": {"offset": np.zeros(members, np.int64), "size": np.full(members, 1 << 20)},
        "backwards": {"offset": arrays["offset"][::-1].copy()},
        "keys are paths": {"keys": np.array([b"../x"])},
        "keys are no text": {"keys": np.array([b"\xff"])},
        "keys are numbers": {"keys": np.array([1])},
        "keys in two columns": {"keys": np.array([[b"a", b"b"]])},
        "an empty key": {"keys": np.array([b""])},
        "suffixes are no text": {"suffixes": np.array([b"\xff"] * 4)},
        "suffixes are numbers": {"suffixes": np.arange(4)},
        "first goes back": {"first": np.array([0, -1])},
        "other bytes": {"scene": arrays["scene"].astype(">i8")},
        "one number": {"first": np.int64(0)},
    }
    found = {name: _npz(**{**arrays, **changed}) for name, changed in changes.items()}
    encrypted = bytearray(good)
    for place in (good.index(b"PK\x03\x04") + 6, good.index(b"PK\x01\x02") + 8):
        encrypted[place] |= 1
    buffer = io.BytesIO()
    np.savez_compressed(buffer, keys=np.zeros(10**7, np.uint8))
    return found | {
        "good": good,
        "encrypted": bytes(encrypted),
        "endless columns": (b"PK\3\4" + bytes(22) + b"\1\0\0\0x") * 10_000,
        "a column beyond the end": good[:18] + b"\xff" * 8 + good[26:30] + b"\1\0\x10\0" + b"\xff" * 16 + good[50:],
        "a bomb": buffer.getvalue(),
        "cut": good[:-30],
        "empty": b"",
    }


def tables() -> dict[str, bytes]:
    """Return tables of shards."""
    good = targets.whole_set()[records.TABLE]
    with np.load(io.BytesIO(good)) as opened:
        arrays = dict(opened)
    changes: dict[str, dict[str, Any]] = {
        "huge": {"samples": np.array([(1 << 63) - 1])},
        "huge bytes": {"samples": np.array([1 << 60]), "tar_bytes": np.array([(1 << 63) - 1])},
        "negative": {"samples": np.array([-1])},
        "texts": {"shard": np.array([b"x"])},
        "keys are numbers": {"least_key": np.array([1])},
        "wide digests": {"content": np.zeros((1, 32), np.int64)},
        "columns": {"samples": np.zeros((1, 2), np.int64)},
        "lengths": {"samples": np.zeros(2, np.int64)},
        "short hashes": {"index_sha256": np.zeros((1, 16), np.uint8)},
    }
    found = {name: _npz(**{**arrays, **changed}) for name, changed in changes.items()}
    found["of an earlier version"] = _npz(**{name: array for name, array in arrays.items() if name != "index_sha256"})
    return found | {"good": good, "cut": good[:-30]}


def _changed(good: dict[str, Any]) -> dict[str, bytes]:
    """Return JSON tables each of which has one value that it should not have."""
    values = {
        "huge": 10**400,
        "minus": -1,
        "float": 1.5,
        "text": "x",
        "list": [[1, 2]],
        "null": None,
        "yes": True,
        "table": {"x": 1},
        "long": "x" * 70_000,
    }
    found = {
        "good": good,
        "list": [good],
        **{f"without {key}": {k: v for k, v in good.items() if k != key} for key in good},
    }
    found |= {f"{key} {name}": {**good, key: value} for key in good for name, value in values.items()}
    result = {name: json.dumps(value).encode() for name, value in found.items()}
    for key in good:
        result[f"{key} infinite"] = json.dumps({**good, key: "@"}).replace('"@"', "1e999").encode()
    return result | {"deep": b'{"format":' * 10**5, "empty": b""}


def manifests() -> dict[str, bytes]:
    """Return manifests."""
    good = json.loads(targets.whole_set()[records.MANIFEST])
    found = _changed(good)
    for key, data in _changed(good["summary"]).items():
        found[f"summary {key}"] = json.dumps(good).replace(json.dumps(good["summary"]), data.decode()).encode()
    return found


def commit_records() -> dict[str, bytes]:
    """Return commit records."""
    good = json.loads(targets.whole_set()[records.record_name(0)])
    holes = [
        [[1, "../x", "r"]],
        [[1e999, "k", "r"]],
        [[1, "k"]],
        [[-1, "k", "r"]],
        [[1, "", 3]],
        [[1, "k", "r"]] * 10_000,
    ]
    found = {f"holes {n}": json.dumps({**good, "skipped": hole}).encode() for n, hole in enumerate(holes)}
    return found | _changed(good)


def scenes() -> dict[str, bytes]:
    """Return files of spooled scenes, without the line with their hash."""
    body = b"".join(tar.pack(f"a.{suffix}", data) for suffix, data in targets.members().items())
    good = {
        "scene": 0,
        "environment": targets.ENVIRONMENT,
        "skipped": [["k", "r"]],
        "samples": [["a", "00" * 32, [["png", 512, 100], ["json", 1024, 3]]]],
    }
    found = {name: data + b"\n" + body for name, data in _changed(good).items()}
    samples: list[Any] = [
        [["a", "00", [["png", 512, 100]]]],
        [["../a", "00" * 32, [["png", 512, 100]]]],
        [[1, "00" * 32, [["png", 512, 1]]]],
        [["a", "00" * 32, [["png", 512, 10**9]]]],
        [["a", "00" * 32, [["png", -5, 1]]]],
        [["a", "00" * 32, [["png", 1e999, 1]]]],
        [["a", "00" * 32, [[None, 512, 1]]]],
        [["a", "00" * 32, []]],
        [["a", "xx" * 32, []]],
        ["abc"],
    ]
    for n, value in enumerate(samples):
        found[f"samples {n}"] = json.dumps({**good, "samples": value}).encode() + b"\n" + body
    whole = found["good"]
    return found | {"hashed": hashlib.sha256(whole).hexdigest().encode() + b"\n" + whole}


def sets() -> dict[str, bytes]:
    """Return a byte that says which file of a set is replaced, and what by."""
    groups = (manifests(), commit_records(), indexes(), archives(), tables())
    return {f"{n} {name}": bytes([n]) + data for n, group in enumerate(groups) for name, data in group.items()}


def seeds(target: str) -> dict[str, bytes]:
    """Return a target's seeds by name."""
    made = {
        "archive": archives, "mended_archive": archives, "text": texts, "picture": pictures, "mended_picture": pictures,
        "array": arrays, "index": indexes, "table": tables, "manifest": manifests, "record": commit_records,
        "dataset": sets, "spooled": scenes,
    }.get(target)  # fmt: skip
    return made() if made else {"zeros": bytes(400), "ones": bytes([1]) * 400, "some": b"\x02" + b"abc" * 130}


def main(folder: Path) -> None:
    """Write all seeds that are not too large, those of detectors too."""
    import onnx_seeds
    import onnx_targets

    kinds = [*((name, seeds) for name in targets.TARGETS), *((name, onnx_seeds.seeds) for name in onnx_targets.TARGETS)]
    for target, made in kinds:
        (folder / target).mkdir(parents=True, exist_ok=True)
        for data in made(target).values():
            if len(data) <= _LARGEST_SEED_BYTES:
                (folder / target / hashlib.sha256(data).hexdigest()[:20]).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
