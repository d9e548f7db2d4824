# SPDX-License-Identifier: Apache-2.0
"""Sets of crops as a generator reads them: masks, surfaces by the name of their mesh, identities."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from made_sets import written

from synthkit import surfaces
from synthkit.bodies.masks import dilated
from synthkit.bodies.reading import BodyCrops
from synthkit.errors import DatasetError
from synthkit.sample import Person, Sample

HEIGHT, WIDTH = 72, 40


def body():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:60, 12:28] = True
    return mask


def crop(key, number=1, identity=None, layer="surface", **layers):
    known = {"instances": body() * np.uint8(number), layer: body() * np.uint16(7), **layers}
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    shown = {name: value for name, value in known.items() if value is not None}
    return Sample(key=key, image=image, people=[Person(instance=number, identity=identity)], layers=shown)


def test_what_a_generator_gets(tmp_path):
    kept = np.where(body(), 0, 255).astype(np.uint8)
    kept[0] = 0
    samples = [crop("a", identity="ann"), crop("b", 3, mask=kept), crop("c", identity="ann"), crop("d", identity="bo")]
    crops = BodyCrops.open(written(tmp_path / "set", samples))
    assert (len(crops), crops.size_px, crops.space) == (4, (WIDTH, HEIGHT), surfaces.MPFB)
    first, second = crops[0], crops[1]
    assert np.array_equal(first.person, body())
    assert np.array_equal(second.person, body()), "whatever the person's number"
    assert np.array_equal(first.mask, dilated(body())), "where the set has none: the person and a rim"
    assert np.array_equal(second.mask, kept == 0), "the set's own"
    assert first.mask.sum() > first.person.sum()
    assert np.array_equal(first.surface, body() * 7)
    assert (first.identity, second.identity) == ("ann", None)
    assert dict(crops.identities) == {"ann": (0, 2), "bo": (3,)}
    shuffled = [one.key for one in crops.stream(seed=1, epochs=2)]
    assert sorted(shuffled) == sorted("abcd" * 2)
    assert [one.key for one in pickle.loads(pickle.dumps(crops))] == list("abcd")


def test_spaces_are_never_mistaken(tmp_path):
    one = BodyCrops.open(written(tmp_path / "smpl", [crop("a", layer="surface_smpl")]))
    assert one.space == surfaces.SMPL
    with pytest.raises(DatasetError, match=r"surface maps are of SMPL's mesh .*, expected the base mesh of MPFB"):
        BodyCrops.open(tmp_path / "smpl", surfaces.MPFB)
    mixed = BodyCrops.open(written(tmp_path / "mixed", [crop("a"), crop("b", layer="surface_smpl")]))
    with pytest.raises(DatasetError, match="sample b: its surface map is of SMPL's mesh"):
        list(mixed)
    both = written(tmp_path / "both", [crop("a", surface_smpl=body() * np.uint16(1))])
    with pytest.raises(DatasetError, match="sample a: has surface maps of mpfb and smpl_27554"):
        BodyCrops.open(both)


REFUSED = {
    "no surface": (crop("b", surface=None), "has no surface map"),
    "no mask": (crop("b", instances=None), "no crop of one person"),
    "vertices that there are not": (
        crop("b", surface=np.full((HEIGHT, WIDTH), 19_159, np.uint16)), r"19159..19159, expected 0..19158"
    ),
    "two people": (Sample(key="b", image=crop("b").image, people=[Person(), Person()], layers=crop("b").layers),
                   "no crop of one person"),
    "another size": (Sample(key="b", image=np.zeros((9, 9, 3), np.uint8)), "is of 9x9 pixels, the first of 40x72"),
}  # fmt: skip


@pytest.mark.parametrize(("sample", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_such_crop_is_told_by_key(tmp_path, sample, message):
    crops = BodyCrops.open(written(tmp_path / "set", [crop("a"), sample]))
    with pytest.raises(DatasetError, match=f"sample b: .*{message}"):
        list(crops)


def test_the_rim_is_a_disk_of_four_pixels_at_the_size_of_fdh():
    point = np.zeros((288, 160), bool)
    point[100, 80] = True
    rows, columns = np.nonzero(dilated(point))
    assert (np.hypot(rows - 100, columns - 80) <= 4).all()
    assert len(rows) == 49, "all pixels within 4 of the middle"
