# SPDX-License-Identifier: Apache-2.0
"""FDH: tars with masks, key points and surfaces there and back; its traps; hostile ones refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import written
from PIL import Image

from synthkit.dataset import Dataset, formats
from synthkit.dataset.formats.coco_points import NAMES
from synthkit.dataset.formats.fdh_embedding import load_embed_map
from synthkit.errors import DatasetError
from synthkit.sample import Person, Sample

WIDTH, HEIGHT = 20, 36
ENTRY = {
    "author": "jo",
    "cateogry": "train",
    "unixtime_crawled": 1637341702.1145487,
    "license": "Attribution-NonCommercial License",
    "license_url": "http://creativecommons.org/licenses/by-nc/2.0/",
    "photo_url": "http://www.flickr.com/photos/1/",
    "user_nsid": "11111111@N01",
    "id": 0,
}


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def body():
    """Return where the person is."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[6:30, 5:14] = True
    return mask


def keep(one=255):
    """Return FDH's mask: nonzero is kept, 0 is to be made."""
    return np.where(body(), 0, one).astype(np.uint8)


def points(pixels=False):
    table = np.zeros((17, 3), np.float32)
    table[0] = 0.5, 0.25, 1
    table[5] = 0.25, 1.25, 1  # below the image
    table[6] = 0.75, 0.5, 0  # not seen
    if pixels:
        table[:, :2] *= WIDTH, HEIGHT
    return table


def members(**changes):
    rng = np.random.default_rng(5)
    found = {
        "image.png": png(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)),
        "mask.png": png(keep()),
        "maskrcnn_mask.png": png(keep()),
        "keypoints.npy": npy(points()),
        "vertices.npy": npy(rng.integers(0, 27_554, (1, HEIGHT, WIDTH)).astype(np.int32)),
        "E_mask.png": png(body().astype(np.uint8)),
    } | {name.replace("__", "."): data for name, data in changes.items()}
    return {name: data for name, data in found.items() if data is not None}


def tar(path: Path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for key, parts in samples.items():
            for name, data in parts.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def build(folder: Path, samples=None, metadata=None):
    tar(folder / "train" / "out-000000.tar", samples or {"00001": members()})
    if metadata is not None:
        (folder / "metadata.json").write_text(metadata if isinstance(metadata, str) else json.dumps(metadata))
    return folder


def read(folder: Path, out: Path):
    return formats.convert(folder, out)


def test_what_a_sample_becomes(tmp_path):
    told = []
    source = build(tmp_path / "set", metadata={"00001": ENTRY})
    (sample,) = formats.convert(source, tmp_path / "out", tell=told.append)
    (person,) = sample.people
    assert np.array_equal(sample.layers["instances"], body())
    assert np.array_equal(sample.layers["mask"], keep())
    vertices = np.load(io.BytesIO(members()["vertices.npy"]))[0]
    assert np.array_equal(sample.layers["surface_smpl"], np.where(body(), vertices + 1, 0))
    assert (person.instance, person.box_xyxy_px) == (1, (5, 6, 14, 30))
    assert sample.meta["split"] == "train"
    assert any("fractions" in line for line in told)


def test_licences_are_carried_and_never_invented(tmp_path):
    source = build(
        tmp_path / "set", {"1": members(), "2": members(), "3": members()}, {"1": ENTRY, "2": {"author": "x"}}
    )
    told = []
    data = formats.convert(source, tmp_path / "out", tell=told.append)
    assert data.manifest.notes["licence"] == "not stated", "of the whole; an image has its own"
    one, two, three = data
    assert one.meta["licence"] == ENTRY["license"]
    assert one.meta["licence_url"] == ENTRY["license_url"]
    assert one.meta["fdh"] == {**ENTRY, "unixtime_crawled": "1637341702.1145487"}, "no digit is lost"
    assert two.meta["licence"] == three.meta["licence"] == "not stated"
    assert "fdh" not in three.meta
    assert any("1 samples are not in metadata.json" in line for line in told)
    formats.export(tmp_path / "out", tmp_path / "made", "fdh")
    back = json.loads((tmp_path / "made/metadata.json").read_text())
    assert back == {"1": ENTRY, "2": {"author": "x", "cateogry": "train"}, "3": {"cateogry": "train"}}


@pytest.mark.parametrize("pixels", [False, True], ids=["fractions", "pixels"])
def test_both_units_of_key_points(tmp_path, pixels):
    source = build(tmp_path / "set", {"1": members(keypoints__npy=npy(points(pixels)))})
    data = formats.convert(source, tmp_path / "out")
    found = data[0].people[0].keypoints
    assert set(found) == {NAMES[0], NAMES[5], NAMES[6]}
    nose, outside, hidden = (found[NAMES[n]] for n in (0, 5, 6))
    assert (nose.x_px, nose.y_px, nose.visible) == (WIDTH / 2, HEIGHT / 4, True)
    assert outside.visible is False, "points outside the image are not seen"
    assert hidden.visible is False
    assert data.manifest.notes["keypoints"] == ("pixels" if pixels else "fractions")


def test_units_may_not_be_mixed(tmp_path):
    source = build(tmp_path / "set", {"1": members(), "2": members(keypoints__npy=npy(points(True)))})
    with pytest.raises(DatasetError, match="key points of sample 2 are in pixels, of 1 in fractions"):
        read(source, tmp_path / "out")


@pytest.mark.parametrize("one", [1, 255])
def test_masks_of_1_and_of_255(tmp_path, one):
    masks = {"mask__png": png(keep(one)), "maskrcnn_mask__png": png(keep(one))}
    (sample,) = read(build(tmp_path / "set", {"1": members(**masks)}), tmp_path / "out")
    assert np.array_equal(sample.layers["mask"], keep(255))
    assert np.array_equal(sample.layers["instances"], body())


def test_masks_of_single_bits(tmp_path):
    (sample,) = read(build(tmp_path / "set", {"1": members(mask__png=png(keep() > 0))}), tmp_path / "out")
    assert np.array_equal(sample.layers["mask"], keep(255))


def test_other_readers_see_the_same(tmp_path):
    """WebDataset lower-cases E_mask.png; the masks' polarity and the points' unit are what FDH's loader takes."""
    webdataset = pytest.importorskip("webdataset")
    source = build(tmp_path / "set", {"1": members(keypoints__npy=npy(points(True)))})
    formats.export(source, tmp_path / "made", "fdh")
    with tarfile.open(tmp_path / "made/train/out-000000.tar") as archive:
        assert "1.E_mask.png" in archive.getnames()
    (sample,) = webdataset.WebDataset(str(tmp_path / "made/train/out-000000.tar"), shardshuffle=False)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample["e_mask.png"]))) > 0, body())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample["mask.png"]))), keep())
    back = np.load(io.BytesIO(sample["keypoints.npy"]))
    assert back.dtype == np.float32
    assert np.allclose(back[0], [0.5, 0.25, 1])
    assert np.array_equal(np.load(io.BytesIO(sample["vertices.npy"])).shape, (HEIGHT, WIDTH))
    assert sample["image.png"] == members()["image.png"], "images are taken over byte by byte"


coordinates = st.floats(0, 1, width=32)


@settings(max_examples=15, deadline=None)
@given(
    table=st.lists(st.tuples(coordinates, coordinates, st.sampled_from([0, 1])), min_size=17, max_size=17),
    seed=st.integers(0, 1000),
    split=st.sampled_from(["train", "val"]),
)
def test_there_and_back(table, seed, split):
    rng = np.random.default_rng(seed)
    masks = {f"{name}__png": png(rng.integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8) * 255)
             for name in ("mask", "maskrcnn_mask", "E_mask")}  # fmt: skip
    original = members(
        keypoints__npy=npy(np.array(table, np.float32)),
        vertices__npy=npy(rng.integers(0, 27_554, (HEIGHT, WIDTH)).astype(np.int16)),
        **masks,
    )
    with TemporaryDirectory() as folder:
        tar(Path(folder, "set", split, "out-000000.tar"), {"7": original})
        formats.convert(Path(folder, "set"), Path(folder, "data"))
        for out in ("made", "again"):
            formats.export(Path(folder, "data"), Path(folder, out), "fdh")
        made = Path(folder, "made", split, "out-000000.tar")
        assert made.read_bytes() == Path(folder, "again", split, "out-000000.tar").read_bytes()
        with tarfile.open(made) as archive:
            back = {m.name.removeprefix("7."): archive.extractfile(m).read() for m in archive.getmembers()}
    assert set(back) == set(original)
    for name in ("mask.png", "maskrcnn_mask.png", "E_mask.png"):
        assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(s[name]))) for s in (back, original)))
    known = np.asarray(Image.open(io.BytesIO(original["E_mask.png"]))) > 0
    assert np.array_equal(*(np.load(io.BytesIO(s["vertices.npy"]))[known] for s in (back, original)))
    points_back, points_before = (np.load(io.BytesIO(s["keypoints.npy"])) for s in (back, original))
    assert np.allclose(points_back, points_before, atol=1e-4), "a thousandth of a pixel"


def rendered(key, **changes):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    known = {"people": [Person(instance=2)], "layers": {"instances": body() * np.uint8(2)}, **changes}
    return Sample(key=key, **{"image": image, **known})


def test_crops_of_our_own_get_a_dilated_mask(tmp_path):
    source = written(tmp_path / "set", [rendered("a", meta={"licence": "CC0-1.0"})])
    made = formats.export(source, tmp_path / "made", "fdh")
    assert any("dilated" in line for line in made.remarks)
    assert any("no surface" in line for line in made.remarks)
    assert json.loads((tmp_path / "made/metadata.json").read_text()) == {
        "a": {"cateogry": "train", "license": "CC0-1.0"}
    }
    (back,) = formats.convert(tmp_path / "made", tmp_path / "back")
    assert np.array_equal(back.layers["instances"] > 0, body())
    assert not back.layers["mask"][body()].any(), "the person is to be made"
    assert (back.layers["mask"] == 255).any()
    assert not {"surface", "surface_smpl"} & back.layers.keys()


def test_surfaces_of_another_mesh_and_identities_there_and_back(tmp_path):
    surface = np.where(body(), 19_158, 0).astype(np.uint16)
    layers = {"instances": body() * np.uint8(2), "surface": surface}
    people = [Person(instance=2, identity="c0ffee")]
    source = written(tmp_path / "set", [rendered("a", layers=layers, people=people)])
    made = formats.export(source, tmp_path / "made", "fdh")
    assert any("surfaces are of the base mesh of MPFB" in line for line in made.remarks)
    assert not any("no surface" in line or "identities" in line for line in made.remarks)
    entry = {"cateogry": "train", "identity": "c0ffee", "surface": "mpfb"}
    assert json.loads((tmp_path / "made/metadata.json").read_text()) == {"a": entry}
    (back,) = formats.convert(tmp_path / "made", tmp_path / "back")
    assert np.array_equal(back.layers["surface"], surface)
    assert "surface_smpl" not in back.layers
    assert back.people[0].identity == "c0ffee"
    assert back.meta["fdh"] == {"cateogry": "train"}, "what a person or a layer tells is not told twice"


@pytest.mark.parametrize("name", ["cat_5001", "", 7, True])
def test_surfaces_of_a_mesh_that_nobody_knows(tmp_path, name):
    source = build(tmp_path / "set", {"1": members()}, {"1": {"surface": name}})
    with pytest.raises(DatasetError, match=r"sample 1: metadata.json names the surface .*, known are mpfb, smpl_27554"):
        read(source, tmp_path / "out")


REFUSED = {
    "two people": ({"people": [Person(instance=1), Person(instance=2)]}, "not crops of one person each"),
    "unknown people": ({"people": None}, "not crops of one person each"),
    "another proportion": (
        {"image": np.zeros((30, 30, 3), np.uint8), "layers": {}},
        "not 160x288 pixels, nor of that proportion",
    ),
    "no mask": ({"layers": {}}, "without the layer 'instances'"),
    "other vertices": (
        {"layers": {"instances": body() * np.uint8(2), "surface_smpl": np.full((HEIGHT, WIDTH), 30_000, np.uint16)}},
        "wrong: has a layer surface_smpl with 30000..30000, expected 0..27554",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_such_crop_is_refused(tmp_path, changes, message):
    source = written(tmp_path / "set", [rendered("a"), rendered("b", **changes)])
    with pytest.raises(DatasetError, match=rf"1 of 2 samples are {message}.* \(b\)"):
        formats.export(source, tmp_path / "made", "fdh")
    assert not (tmp_path / "made").exists()


BROKEN = {
    "objects": ({"keypoints__npy": npy(np.array([{}], dtype=object))}, "npy of object is refused"),
    "few points": ({"keypoints__npy": npy(np.zeros((7, 2)))}, r"keypoints.npy is \(7, 2\)"),
    "endless points": ({"keypoints__npy": npy(np.full((17, 3), np.inf))}, "not finite"),
    "other size": ({"mask__png": png(np.zeros((3, 3), np.uint8))}, "mask.png has 3x3 pixels"),
    "other vertices": ({"vertices__npy": npy(np.full((HEIGHT, WIDTH), 27_554))}, "expected 0..27553"),
    "vertices of another size": ({"vertices__npy": npy(np.zeros((WIDTH, HEIGHT), int))}, "vertices.npy is"),
    "no picture": ({"image__png": b"GIF89a"}, "no PNG or JPEG"),
}


@pytest.mark.parametrize(("changes", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_members_are_named(tmp_path, changes, message):
    with pytest.raises(DatasetError, match=rf"sample 1: .*{message}"):
        read(build(tmp_path / "set", {"1": members(**changes)}), tmp_path / "out")


def test_all_problems_are_told_at_once(tmp_path):
    source = build(
        tmp_path / "set",
        {"1": members(mask__png=None), "2": members(E_mask__png=None)},
        metadata='{"1": {"a": 1}, "1": {}}',
    )
    tar(source / "val" / "out-000000.tar", {"2": members()})
    (source / "embed_map.torch").write_bytes(b"x")
    expected = (
        r"5 problems:(.|\n)*1 has no mask.png(.|\n)*2 has no E_mask.png(.|\n)*2 comes twice(.|\n)*'1' comes twice"
    )
    with pytest.raises(DatasetError, match=expected + r"(.|\n)*embed_map.torch: is no file"):
        formats.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_damaged_tars_are_told(tmp_path):
    source = build(tmp_path / "set")
    for name in ("a", "b"):
        (source / "train" / f"{name}.tar").write_bytes(b"x" * 1000)
    with pytest.raises(DatasetError, match=r"a\.tar(.|\n)*b\.tar"):
        formats.convert(source, tmp_path / "out", form="fdh")


BAD_METADATA = ["", "[]", '{"1": 3}', '{"1": {}', '{"1": {}}x', '{"1": {"a": [1]}}', '{"1": {"a": NaN}}', '{"\\x": {}}']


@pytest.mark.parametrize("text", BAD_METADATA)
def test_metadata_that_are_none(tmp_path, text):
    with pytest.raises(DatasetError, match=r"metadata\.json"):
        formats.convert(build(tmp_path / "set", metadata=text), tmp_path / "out")


def test_metadata_larger_than_what_is_read_at_once(tmp_path):
    table = {f"{n:05d}": {**ENTRY, "photo_title": f'ü "{{}}" \\ {n}' * 40} for n in range(3000)}
    source = build(tmp_path / "set", {"00000": members(), "02999": members()}, table)
    assert (source / "metadata.json").stat().st_size > 2 << 20
    first, last = formats.convert(source, tmp_path / "out")
    assert first.meta["fdh"]["photo_title"] == table["00000"]["photo_title"]
    assert last.meta["fdh"]["photo_title"] == table["02999"]["photo_title"]


def test_folders_of_tars_and_single_tars(tmp_path):
    source = build(tmp_path / "set", metadata={"00001": ENTRY})
    for n, path in enumerate((source, source / "train", source / "train/out-000000.tar")):
        assert formats.detect(path).name == "fdh"
        (sample,) = formats.convert(path, tmp_path / f"out{n}")
        assert sample.meta["licence"] == ENTRY["license"]
    assert "split" not in sample.meta
    assert formats.detect(tmp_path / "out0") is None, "a data set is none"
    assert len(Dataset.open(source / "train")) == 1


class TestEmbedding:
    """The side file, which torch reads without executing anything."""

    def save(self, path, value):
        torch = pytest.importorskip("torch")
        torch.save(value(torch), path)
        return path

    def test_its_hash_is_noted(self, tmp_path):
        source = build(tmp_path / "set")
        path = self.save(source / "embed_map.torch", lambda torch: torch.arange(27_554 * 16).reshape(27_554, 16) / 7)
        data = formats.convert(source, tmp_path / "out")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        assert data.manifest.notes["embed_map"] == {"sha256": sha256, "checked": True}
        table = load_embed_map(path)
        assert (table.shape, table.dtype) == ((27_554, 16), np.float32)
        assert table[3, 2] == np.float32(50 / 7)
        made = formats.export(tmp_path / "out", tmp_path / "made", "fdh")
        assert any(sha256[:16] in line and "put it beside" in line for line in made.remarks)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (lambda torch: torch.zeros(3, 16), r"of shape \(3, 16\)"),
            (lambda torch: {"a": 1}, "a dict"),
            (lambda torch: torch.full((27_554, 16), float("nan")), "not finite"),
            (lambda torch: Path("x"), "cannot be read by torch as plain weights"),
        ],
        ids=["shape", "table", "nan", "pickle"],
    )
    def test_what_is_none(self, tmp_path, value, message):
        path = self.save(tmp_path / "embed_map.torch", value)
        with pytest.raises(DatasetError, match=message):
            load_embed_map(path)

    def test_large_and_old_files(self, tmp_path):
        path = tmp_path / "embed_map.torch"
        path.write_bytes(bytes(17_000_000))
        with pytest.raises(DatasetError, match="too large"):
            load_embed_map(path)
        path.write_bytes(b"\x80\x02")
        with pytest.raises(DatasetError, match=r"torch 1\.6"):
            load_embed_map(path)
