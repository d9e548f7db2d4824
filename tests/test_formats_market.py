# SPDX-License-Identifier: Apache-2.0
"""Market-1501: identities, cameras, junk and distractors there and back; whole frames refused."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import written
from PIL import Image

from synthkit.dataset import CodecConfig, formats
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample

FOLDERS = {"train": "bounding_box_train", "test": "bounding_box_test", "query": "query"}
JPEG = CodecConfig(image_format="jpg")
CROPS = {
    "bounding_box_train/0002_c1s1_000451_03.jpg": 40,
    "bounding_box_test/-1_c3s2_000401_01.jpg": 80,
    "bounding_box_test/0000_c1s1_000051_02.jpg": 120,
    "bounding_box_test/0003_c2s1_000777_01.jpg": 160,
    "query/0003_c1s1_001051_00.jpg": 200,
}


def build(folder: Path, crops=CROPS):
    for name, grey in crops.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 8, 3), grey, np.uint8)).save(folder / name)
    return folder


def crop(key, person, **meta):
    image = np.random.default_rng(1).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    return Sample(key=key, image=image, people=person if isinstance(person, list) else [person], meta=meta)


def names(folder: Path):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


def test_what_names_say(tmp_path):
    source = build(tmp_path / "set")
    (source / "bounding_box_train" / "Thumbs.db").write_bytes(b"x")
    (source / "gt_bbox").mkdir()
    told = []
    data = {s.key: s for s in formats.convert(source, tmp_path / "out", tell=told.append)}
    train = data["0002_c1s1_000451_03"]
    assert train.people == (Person(identity="0002"),)
    assert (train.sequence, train.frame) == ("c1s1", 451)
    wanted = {"person": 2, "camera": 1, "camera_sequence": 1, "detection": 3, "split": "train"}
    assert wanted.items() <= train.meta.items()
    assert data["0003_c1s1_001051_00"].meta["split"] == "query"
    assert data["0003_c2s1_000777_01"].meta["split"] == "test"
    assert "crops of no known person: 1 junk and 1 distractor" in told
    assert any("gt_bbox" in line for line in told)


def test_junk_and_distractors_are_nobody(tmp_path):
    data = {s.key: s for s in formats.convert(build(tmp_path / "set"), tmp_path / "out")}
    junk, distractor = data["-1_c3s2_000401_01"], data["0000_c1s1_000051_02"]
    assert junk.people == (Person(attributes={"reid": "junk"}),)
    assert distractor.people == (Person(attributes={"reid": "distractor"}),)
    assert (junk.meta["person"], distractor.meta["person"]) == (-1, 0)
    assert junk.meta["camera"] == 3


@pytest.mark.parametrize("through", [True, False], ids=["through a data set", "directly"])
def test_the_same_names_and_pictures_come_back(tmp_path, through):
    source = given_set = build(tmp_path / "set")
    if through:
        source = formats.convert(given_set, tmp_path / "data").path
    for out in ("one", "two"):
        formats.export(source, tmp_path / out, "market1501")
    assert names(tmp_path / "one") == sorted(CROPS)
    for name, grey in CROPS.items():
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes()
        assert abs(int(np.asarray(Image.open(tmp_path / "one" / name)).mean()) - grey) <= 2
        assert through or data == (given_set / name).read_bytes()
    assert formats.detect(tmp_path / "one").name == "market1501"


crops = st.fixed_dictionaries(
    {
        "person": st.one_of(st.sampled_from(["junk", "distractor"]), st.integers(1, 99_999)),
        "camera": st.integers(0, 20),
        "camera_sequence": st.integers(0, 9),
        "frame": st.integers(0, 10**7),
        "detection": st.integers(0, 3),
        "split": st.sampled_from(list(FOLDERS)),
    }
)


@settings(max_examples=15, deadline=None)
@given(wanted=st.lists(crops, min_size=1, max_size=8))
def test_who_where_and_when_come_back(wanted):
    """Detections may be numbered anew, as names must differ; all else is exact."""
    with TemporaryDirectory() as folder:
        samples = []
        for n, table in enumerate(wanted):
            who, meta = table["person"], {k: v for k, v in table.items() if k not in ("person", "frame")}
            nobody = isinstance(who, str)
            person = Person(attributes={"reid": who}) if nobody else Person(identity=str(who))
            samples.append(crop(f"k{n}", person, **meta))
        samples = [
            Sample(key=s.key, image=s.image, people=s.people, meta=s.meta, frame=t["frame"])
            for s, t in zip(samples, wanted, strict=True)
        ]
        formats.export(written(Path(folder, "set"), samples, JPEG), Path(folder, "made"), "market1501")
        back = list(formats.convert(Path(folder, "made"), Path(folder, "back")))

    def facts(sample):
        (person,) = sample.people
        who = person.attributes.get("reid") or int(person.identity)
        return str(who), sample.meta["camera"], sample.meta["camera_sequence"], sample.frame, sample.meta["split"]

    assert sorted(map(facts, back)) == sorted(map(facts, samples))


def test_names_instead_of_numbers_are_numbered(tmp_path):
    samples = [crop("a", Person(identity="zoe"), camera="hall"), crop("b", Person(identity="ann"), camera="yard")]
    made = formats.export(written(tmp_path / "set", samples, JPEG), tmp_path / "made", "market1501")
    table = json.loads((tmp_path / "made" / "identities.json").read_text())
    assert table == {"identities": {"ann": 1, "zoe": 2}, "cameras": {"hall": 1, "yard": 2}}
    assert names(tmp_path / "made") == [
        "bounding_box_test/0001_c2s1_000001_00.jpg",
        "bounding_box_test/0002_c1s1_000000_00.jpg",
    ]
    assert "images of no split are in the gallery, bounding_box_test" in made.remarks


def test_png_crops_become_jpeg_since_readers_look_for_it(tmp_path):
    source = written(tmp_path / "set", [crop("a", Person(identity="1"), camera=1)])
    made = formats.export(source, tmp_path / "made", "market1501")
    assert any("PNG images were stored as JPEG" in line for line in made.remarks)
    (name,) = names(tmp_path / "made")
    assert Image.open(tmp_path / "made" / name).format == "JPEG"


NOT_CROPS = {
    "two people": [Person(identity="1"), Person(identity="2")],
    "nobody": [],
    "a small part": Person(identity="1", box_xyxy_px=(0, 0, 2, 3)),
    "a small rotated part": Person(identity="1", rotated_box=RotatedBox(4, 8, 2, 3, 10)),
}


@pytest.mark.parametrize("person", NOT_CROPS.values(), ids=NOT_CROPS.keys())
def test_whole_frames_are_refused(tmp_path, person):
    source = written(tmp_path / "set", [crop("a", person, camera=1)], JPEG)
    with pytest.raises(
        DatasetError, match=r"1 of 1 samples are not crops of one person each, but whole frames .*\(a\)"
    ):
        formats.export(source, tmp_path / "made", "market1501")
    assert not (tmp_path / "made").exists()


def test_all_reasons_to_refuse_are_told_at_once(tmp_path):
    samples = [
        crop("a", Person(), camera=1),
        crop("b", Person(identity="1")),
        crop("c", []),
        crop("d", [], camera=1),
    ]
    with pytest.raises(DatasetError) as caught:
        formats.export(written(tmp_path / "set", samples, JPEG), tmp_path / "made", "market1501")
    text = str(caught.value)
    assert "1 of 4 samples are of nobody known" in text
    assert "1 of 4 samples are from no known camera" in text
    assert "2 of 4 samples are not crops" in text


def test_names_that_say_nothing_are_refused_all_at_once(tmp_path):
    source = build(tmp_path / "set", {**CROPS, "query/0003_c1_001051.jpg": 1, "query/-2_c1s1_000001_00.jpg": 1})
    (source / "query" / "0004_c1s1_000001_00.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"3 problems:(.|\n)*-2_c1s1(.|\n)*not named(.|\n)*no JPEG"):
        formats.convert(source, tmp_path / "out")


def test_a_folder_of_crops_has_no_split(tmp_path):
    source = build(tmp_path / "set", {"0022_c6s1_002976_01.jpg": 1})
    data = formats.convert(source, tmp_path / "out")
    assert "split" not in data[0].meta
    assert data[0].people[0].identity == "0022"
    (source / "holiday.jpg").write_bytes((source / "0022_c6s1_002976_01.jpg").read_bytes())
    assert formats.detect(source).name == "images", "one other name, and it is a folder of images"
