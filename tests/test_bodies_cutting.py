# SPDX-License-Identifier: Apache-2.0
"""People cut out of images as FDH's crops are: where, turned how, with which masks and maps; and which are left out."""

from __future__ import annotations

import numpy as np
import pytest
from made_sets import written
from typer.testing import CliRunner

from synthkit import surfaces
from synthkit.bodies.cutting import CutSettings, cut
from synthkit.bodies.planning import plan_bodies
from synthkit.bodies.reading import BodyCrops
from synthkit.camera import FisheyeCamera, looking_down
from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter, formats
from synthkit.dataset.sidecars import SIDECAR_OF
from synthkit.errors import ConfigError, DatasetError
from synthkit.execution import Local
from synthkit.sample import Keypoint, Person, Sample, Sidecar, evolve

WIDTH, HEIGHT = 400, 300


def image():
    """Return red that grows to the right and green that grows downwards."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, np.zeros_like(x)], axis=-1).astype(np.uint8)


def place(*boxes):
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes, 1):
        instances[top:bottom, left:right] = number
    return instances


def stripes(instances, layer="surface"):
    """Return a surface map: each row of each person shows another vertex."""
    rows = np.arange(1, HEIGHT + 1, dtype=np.uint16)[:, None]
    return {"instances": instances, layer: np.where(instances > 0, rows, 0).astype(np.uint16)}


def photo(key, *boxes, layer="surface", **changes):
    people = [Person(instance=n, identity=f"p{n}") for n in range(1, len(boxes) + 1)]
    return Sample(key=key, **{"image": image(), "people": people, "layers": stripes(place(*boxes), layer), **changes})


def test_a_crop_is_as_far_around_as_deepprivacy2s():
    """Of a box of 40x120: its height grown by 0.1 sqrt(40 120), and as wide as 1.8 asks."""
    (plan,) = plan_bodies(photo("a", (100, 90, 140, 210)))
    height = 120 + 0.1 * np.sqrt(40 * 120)
    corners = plan.to_image([[0, 0], [160, 288]])
    assert np.allclose(corners[1] - corners[0], [height / 1.8, height])
    assert np.allclose(corners.mean(axis=0), [120, 150])


def test_a_third_is_background_at_least():
    (plan,) = plan_bodies(photo("a", (100, 20, 245, 281)))
    width, height = np.diff(plan.to_image([[0, 0], [160, 288]]), axis=0)[0]
    assert np.isclose(145 * 261 / (width * height), 0.7)


def test_crops_are_moved_into_the_image_where_they_fit():
    left, wide = plan_bodies(photo("a", (0, 0, 50, 100), (0, 150, 400, 200)))
    assert np.allclose(left.to_image([0, 0]), 0)
    _, top = wide.to_image([0, 0])
    assert top < 0, "too high for the image: its middle stays"
    assert not plan_bodies(photo("a", (0, 0, 31, 31))), "too small"


def test_under_a_ceiling_camera_away_from_the_nadir_is_up():
    camera = FisheyeCamera.equidistant(WIDTH, HEIGHT, world_from_camera=looking_down(2.5))
    sample = photo("a", (300, 130, 390, 170), camera=camera)
    (plan,) = plan_bodies(sample)
    head, feet = plan.to_crop([[385, 150], [305, 150]])
    assert head[1] < 60 < 230 < feet[1]
    assert np.allclose([head[0], feet[0]], 80)
    (upright,) = plan_bodies(sample, view="upright")
    assert np.allclose(upright.to_crop([385, 150])[1], upright.to_crop([305, 150])[1])


def test_what_a_crop_holds(tmp_path):
    whole = photo("a", (100, 90, 140, 210), (138, 90, 180, 210), meta={"licence": "CC0-1.0", "secret": "x"})
    nose = Keypoint(120, 100, visible=True)
    whole = evolve(whole, people=[evolve(whole.people[0], keypoints={"nose": nose}), whole.people[1]])
    data = cut(written(tmp_path / "set", [whole]), tmp_path / "crops")
    assert [data.key(n) for n in range(2)] == ["a_000", "a_001"]
    first = data[0]
    (person,) = first.people
    assert first.size_px == (160, 288)
    assert (person.instance, person.identity) == (1, "p1")
    assert first.meta["licence"] == "CC0-1.0"
    assert "secret" not in first.meta
    body = first.layers["instances"] == 1
    assert np.array_equal(first.layers["surface"] > 0, body), "nothing of the neighbour"
    left, top, right, bottom = person.box_xyxy_px
    assert body[int(top) : int(bottom), int(left) : int(right)].all()
    scale = 288 / (120 + 0.1 * np.sqrt(40 * 120))
    assert np.isclose(bottom - top, 120 * scale, atol=1.5)
    rows = first.layers["surface"][:, 80]
    seen = np.flatnonzero(rows)
    assert np.allclose(np.diff(rows[seen].astype(int)).mean(), 1 / scale, rtol=0.02), "the nearest row of the image's"
    point = person.keypoints["nose"]
    assert np.allclose(point.y_px - top, 10 * scale, atol=1)
    middle = first.image[int((top + bottom) / 2), int((left + right) / 2)]
    assert abs(int(middle[0]) - 119 * 255 // WIDTH) <= 2
    assert abs(int(middle[1]) - 150 * 255 // HEIGHT) <= 2
    crop = BodyCrops(data)[0]
    assert crop.mask.sum() > crop.person.sum() == body.sum()


def test_masks_end_where_the_image_ends(tmp_path):
    data = cut(written(tmp_path / "set", [photo("a", (0, 150, 400, 200))]), tmp_path / "crops")
    outside = (data[0].image == 0).all(axis=-1)
    assert outside[:60].all()
    assert (data[0].layers["mask"][outside] == 255).all()


def found_in(path, data, sides):
    """Write finds of a set of images."""
    notes = {SIDECAR_OF: {"path": "../set", "fingerprint": data.fingerprint}}
    with DatasetWriter(path, identity={"found": str(path)}, notes=notes, scenes=len(sides)) as writer:
        for n, side in enumerate(sides):
            writer.spool.put(n, [side])
            writer.finished(n)
        writer.finalise()
    return path


def test_finds_take_the_place_of_labels_and_are_combined(tmp_path):
    """One finder's mask and another's surface map of the same person; nobody of whom one of the two is missing."""
    images = [evolve(photo("a"), people=None, layers={}), evolve(photo("b"), people=None, layers={})]
    data = Dataset.open(written(tmp_path / "set", images))
    box, other = (100, 90, 160, 210), (300, 20, 350, 150)
    masks = Sidecar("a", people=[Person(instance=1), Person(instance=2)], layers={"instances": place(box, other)})
    maps = stripes(place((102, 90, 160, 210)), "surface_smpl")
    sides = [Sidecar("a", people=[Person(instance=1)], layers=maps), Sidecar("b", people=())]
    finds = [found_in(tmp_path / "masks", data, [masks, Sidecar("b", people=())]),
             found_in(tmp_path / "maps", data, sides)]  # fmt: skip
    made = cut(tmp_path / "set", tmp_path / "crops", finds, CutSettings(least=0))
    (crop,) = BodyCrops(made)
    assert crop.key == "a_000"
    assert BodyCrops(made).space == surfaces.SMPL
    assert crop.person.sum() > (crop.surface > 0).sum(), "the mask of one, the map of the other"
    with pytest.raises(ConfigError, match=r"which vertices of SMPL's mesh .* must be told by a file"):
        cut(tmp_path / "set", tmp_path / "filtered", finds)
    few = tmp_path / "parts.npy"
    np.save(few, np.zeros(27_554, np.int64))
    with pytest.raises(
        DatasetError, match=r"holds no samples.* nobody in it has a mask and a surface map that is believed"
    ):
        cut(tmp_path / "set", tmp_path / "none", finds, CutSettings(parts=few))
    with pytest.raises(DatasetError, match=r"holds no samples.* its people have no surface map"):
        cut(tmp_path / "set", tmp_path / "without maps", finds[:1])


@pytest.mark.parametrize("fault", ["size", "dimensions", "score"])
def test_finds_that_cannot_be_right_stop_no_other_image(fault, tmp_path):
    data = Dataset.open(written(tmp_path / "set", [photo("a"), photo("b")]))
    layers = stripes(place((100, 90, 160, 210)))
    wrong = {
        "size": {**layers, "instances": layers["instances"][:100], "surface": layers["surface"][:100]},
        "dimensions": {**layers, "instances": np.ones((HEIGHT, WIDTH, 2), np.uint8)},
        "score": layers,
    }
    people, score = [Person(instance=1)], {"score": {"score": None}}.get(fault, {})
    first = [Sidecar("a", people=[Person(instance=1, attributes=score)], layers=wrong[fault]),
             Sidecar("b", people=people, layers=layers)]  # fmt: skip
    second = [Sidecar(key, people=people, layers=layers) for key in "ab"]
    finds = [found_in(tmp_path / name, data, sides) for name, sides in (("one", first), ("two", second))]
    made = cut(tmp_path / "set", tmp_path / "crops", finds, CutSettings(least=0))
    assert [sample.key for sample in made] == (["a_000", "b_000"] if fault == "score" else ["b_000"])
    assert [key for key, _ in made.skipped] == ([] if fault == "score" else ["a"])


def test_finds_of_other_images_are_refused(tmp_path):
    data = Dataset.open(written(tmp_path / "set", [photo("a", (100, 90, 160, 210))]))
    written(tmp_path / "other", [photo("a", (10, 90, 60, 210))])
    finds = found_in(tmp_path / "found", data, [Sidecar("a", people=())])
    with pytest.raises(DatasetError, match="its sidecars are of other samples"):
        cut(tmp_path / "other", tmp_path / "crops", [finds])


HOSTILE = {
    "vertices that there are not": {"surface": np.full((HEIGHT, WIDTH), 60_000, np.uint16)},
    "a map of floats": {"surface_smpl": np.full((HEIGHT, WIDTH), np.nan, np.float32)},
    "maps of two meshes": {"surface": place((9, 9, 99, 99)).astype(np.uint16),
                           "surface_smpl": place((9, 9, 99, 99)).astype(np.uint16)},
    "no map": {},
    "masks that are none": {**stripes(place((9, 9, 99, 99))), "instances": np.ones((HEIGHT, WIDTH, 2), np.uint8)},
}  # fmt: skip


@pytest.mark.parametrize("layers", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_map_is_a_hole(tmp_path, layers):
    """As strangers' sets may have it; the others are cut."""
    bad = photo("a", (100, 90, 160, 210))
    try:
        bad = evolve(bad, layers={"instances": bad.layers["instances"], **layers})
    except ValueError:
        return  # which not even a sample takes
    made = cut(written(tmp_path / "set", [bad, photo("b", (100, 90, 160, 210))]), tmp_path / "crops")
    assert [key for key, _ in made.skipped] == ["a"]
    assert [sample.key for sample in made] == ["b_000"]


@pytest.mark.parametrize("space", list(surfaces.SPACES.values()), ids=lambda space: space.name)
def test_one_of_two_meshes_can_be_chosen(tmp_path, space):
    both = photo("a", (100, 90, 160, 210))
    layers = {**both.layers, **stripes(both.layers["instances"], "surface_smpl")}
    source = written(tmp_path / "set", [evolve(both, layers=layers)])
    (crop,) = cut(source, tmp_path / "crops", settings=CutSettings(space=space.name, view="upright"))
    assert set(crop.layers) & set(surfaces.LAYERS) == {space.layer}
    with pytest.raises(DatasetError, match="surface maps of mpfb and smpl_27554: say which one is meant"):
        cut(source, tmp_path / "either")
    words = ["bodies", "cut", str(source), str(tmp_path / "told"), "--workers", "1", "--space", space.name]
    assert CliRunner().invoke(app, words).exit_code == 0


def test_the_command_tells_of_crops_and_of_holes(tmp_path):
    bad = photo("a", (100, 90, 160, 210))
    bad = evolve(bad, layers={"instances": bad.layers["instances"]})
    source = written(tmp_path / "set", [bad, photo("b", (100, 90, 160, 210))])
    words = ["bodies", "cut", str(source), str(tmp_path / "crops"), "--workers", "1", "--view", "upright"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 1, told.output
    assert "(1 crops)" in told.output
    assert "1 samples were skipped" in told.output
    assert CliRunner().invoke(app, [*words, "--allow-missing"]).exit_code == 0
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "crops")]).exit_code == 0


def test_the_same_bytes_by_two_workers_and_by_one(tmp_path):
    source = written(tmp_path / "set", [photo(f"s{n}", (100, 90, 160, 210), (200, 80, 260, 200)) for n in range(3)])
    for name, workers in (("one", 0), ("two", 2)):
        cut(source, tmp_path / name, executor=Local(workers))
    tars = [(tmp_path / name / "shards/000000.tar").read_bytes() for name in ("one", "two")]
    assert tars[0] == tars[1]


def test_from_images_to_fdhs_layout_and_back(tmp_path):
    source = written(tmp_path / "set", [photo("a", (100, 90, 160, 210))])
    cut(source, tmp_path / "crops")
    formats.export(tmp_path / "crops", tmp_path / "fdh", "fdh")
    formats.convert(tmp_path / "fdh", tmp_path / "back")
    before, after = BodyCrops.open(tmp_path / "crops")[0], BodyCrops.open(tmp_path / "back")[0]
    for name in ("image", "mask", "person", "surface"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert (before.key, before.identity) == (after.key, after.identity)
