# SPDX-License-Identifier: Apache-2.0
"""Crops of people, and what of them the networks see."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from sample_sets import Samples

from synthkit.errors import DatasetError
from synthkit.sample import Keypoint, Person
from synthkit_anonymizer_gan import crop_store, people, surface
from synthkit_anonymizer_gan.conditions import making_of, views_of
from synthkit_anonymizer_gan.people import NOBODY, OTHERS, OWN, Crop

COLOURS = {"anna": (200, 60, 60), "ben": (60, 60, 200), "cleo": (60, 190, 80)}  # of the people in ``sample``


def _crop(whose, image=None, places=None) -> Crop:
    whose = np.array(whose, np.uint8)
    image = np.full((*whose.shape, 3), 255, np.uint8) if image is None else image
    return Crop(image, whose, np.zeros(whose.shape, np.uint16) if places is None else np.array(places, np.uint16))


def test_a_box_is_cropped_upright_with_room_around_it(sample):
    numbered, _ = people.numbered(sample(1))
    plans = people.plans_of(numbered, (40, 72), "box")
    assert len(plans) == 2
    for plan in plans:
        crop = people.cut(numbered, plan, "mpfb")
        assert crop.image.shape == (72, 40, 3)
        assert np.array_equal(plan.crop_from_image[:, :2], np.eye(2) * plan.scale)
        rows, columns = np.nonzero(crop.whose == OWN)
        assert rows.min() > 1
        assert rows.max() < 70
        assert (rows.min() + rows.max()) / 2 == pytest.approx(35.5, abs=1)
        assert (columns.min() + columns.max()) / 2 == pytest.approx(19.5, abs=1)
        assert rows.max() - rows.min() > 0.75 * 72 or columns.max() - columns.min() > 0.75 * 40
        assert ((crop.places > 0) == (crop.whose == OWN)).all()
        assert np.array_equal(np.unique(crop.places[rows, columns]) % 20, np.zeros(len(np.unique(crop.places)) - 1))


def test_heads_are_where_the_cores_crops_have_them(sample):
    numbered, _ = people.numbered(sample(1))
    for plan in people.plans_of(numbered, (40, 72), "head"):
        assert plan.to_crop(numbered.people[plan.person].head_px) == pytest.approx((20, 18))


def test_everybody_somewhere_gets_a_number_and_who_has_only_a_box_a_mask(sample):
    boxed = attrs.evolve(sample(1), layers={})
    numbered, found = people.numbered(boxed)
    areas = [one.region.area_px for one in found]
    assert areas == sorted(areas)
    assert [person.instance for person in numbered.people] == [1, 2]
    assert set(np.unique(numbered.layers["instances"])) == {0, 1, 2}
    assert people.numbered(attrs.evolve(boxed, people=None)) is None
    assert people.numbered(attrs.evolve(boxed, people=[Person()])) is None


def test_nobodys_pixels_are_seen(sample):
    whose = np.zeros((9, 12), np.uint8)
    whose[3:6, 2:4], whose[3:6, 8:10] = OWN, OTHERS
    image = np.full((9, 12, 3), 200, np.uint8)
    image[whose == OWN], image[whose == OTHERS] = 10, 20
    places = np.where(whose == OWN, 2, 0)
    views = views_of([_crop(whose, image, places)], [1])
    making, known = views.making[0, 0].bool().numpy(), views.known[0, 0].bool().numpy()
    assert np.array_equal(making, people.grown(whose == OWN, 1))
    assert np.array_equal(known, ~making & ~people.grown(whose == OTHERS, 1))
    background = views.background[0, 0].numpy()
    assert set(background[known].round(4)) == {np.float32(200 / 127.5 - 1).round(4)}
    assert not background[~known].any()
    embedding = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    seen = views.seen(embedding)[0].numpy()
    assert seen.shape == (3 + 1 + 2 + 1, 9, 12)
    assert np.array_equal(seen[:3], views.background[0].numpy())
    assert np.array_equal(seen[4], np.where(whose == OWN, 3, 0))
    assert np.array_equal(seen[6], whose == OWN)
    assert views.seen(torch.zeros(1, 0)).shape == (1, 4, 9, 12)
    # The same with other people in it is the same to the encoder.
    changed = image.copy()
    changed[whose > 0] = 99
    assert torch.equal(views_of([_crop(whose, changed, places)], [1]).seen(embedding)[0], views.seen(embedding)[0])
    assert not torch.equal(views_of([_crop(whose, changed, places)], [1]).people(), views.people())


def test_the_discriminators_condition_can_hide_the_mask():
    whose = np.zeros((8, 8), np.uint8)
    whose[2:5, 2:5] = OWN
    places = np.zeros((8, 8))
    places[3, 3] = 1
    views = views_of([_crop(whose, places=places)], [1])
    image = torch.rand(1, 3, 8, 8)
    plain = views.judged(image, None)
    assert torch.equal(plain, torch.cat([image, views.background, views.known], dim=1))
    noise = torch.rand(1, 3, 8, 8)
    hidden = views.judged(image, noise)
    hole = (views.known == 0).expand(1, 3, 8, 8)
    assert torch.equal(hidden[:, 3:6][hole], noise[hole])
    assert torch.equal(hidden[:, 3:6][~hole], views.background[~hole])
    assert hidden[0, 6].nonzero().tolist() == [[3, 3]]


def test_mirrored_people_have_their_other_side():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    whose, places = np.zeros((4, 6)), np.zeros((4, 6))
    whose[1, 1], places[1, 1] = OWN, 2
    mirror = np.array([0, 2, 1])
    plain = views_of([_crop(whose, image, places)], [1])
    views = views_of([_crop(whose, image, places)] * 2, [1, 1], mirrored=[True, False], mirror=mirror)
    assert torch.equal(views.images[0], plain.images[0].flip(-1))
    assert torch.equal(views.images[1], plain.images[0])
    assert views.places[0].nonzero().tolist() == [[1, 4]]
    assert views.places[0, 1, 4] == 1
    assert torch.equal(views.places[1], plain.places[0])


def test_growing_reaches_as_far_as_it_says():
    mask = np.zeros((11, 11), bool)
    mask[5, 5] = True
    rows, columns = np.nonzero(people.grown(mask, 3))
    assert np.hypot(rows - 5, columns - 5).max() == 3
    assert len(rows) == sum(1 for y in range(-3, 4) for x in range(-3, 4) if x * x + y * y <= 9)
    assert people.margin_px(0.02, (160, 288)) == 4
    assert people.margin_px(0.0, (40, 72)) == 1


def test_stored_crops_are_those_of_the_set_and_know_who_is_the_same(tiny, data, runtime, tmp_path):
    store = crop_store.load(data["target"], tiny, tmp_path, runtime.progress)
    assert len(store) == 6
    numbered, _ = people.numbered(data["target"][0])
    plan = people.plans_of(numbered, tiny.crop_px, "box")[0]
    expected, found = people.cut(numbered, plan, "mpfb"), store[0]
    emptied = people.cut(people.emptied(numbered), plan, "mpfb").image
    making = making_of(found.whose, people.margin_px(tiny.margin, tiny.crop_px))[..., None]
    assert np.array_equal(found.image, np.where(making, expected.image, emptied))
    for name in ("whose", "places"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert found.places.max() > 255
    colours = np.array(list(COLOURS.values()))
    names = [int(np.abs(crop.image[crop.whose == OWN].mean(axis=0) - colours).sum(axis=1).argmin()) for crop in store]
    for index in range(6):
        same = [n for n in range(6) if names[n] == names[index] and n != index]
        assert store.others_of(index).tolist() == same
    again = crop_store.load(data["target"], tiny, tmp_path, runtime.progress)
    assert np.array_equal(again.pixels, store.pixels)


def test_what_cannot_be_learned_from_is_told(tiny, data, runtime, tmp_path):
    bare = Samples([attrs.evolve(s, layers={"instances": s.layers["instances"]}) for s in data["target"]], "sha-bare")
    with pytest.raises(DatasetError, match="s000: has no layer surface, which surface=mpfb needs: render with"):
        crop_store.load(bare, tiny, tmp_path, runtime.progress)
    masks = attrs.evolve(tiny, surface="none", discriminator_sees="mask")
    assert len(crop_store.load(bare, masks, tmp_path, runtime.progress)) == 6
    nobody = Samples([attrs.evolve(s, people=(), layers={}) for s in data["target"]], "sha-nobody")
    with pytest.raises(DatasetError, match="nobody to learn from"):
        crop_store.load(nobody, tiny, tmp_path, runtime.progress)


def test_whose_a_pixel_is(sample):
    numbered, _ = people.numbered(sample(1))
    (plan, _) = people.plans_of(numbered, (48, 48), "image")
    crop = people.cut(numbered, plan, "none")
    assert np.array_equal(crop.whose == OWN, numbered.layers["instances"][1::2, 1::2] == 1)
    assert set(np.unique(crop.whose)) == {NOBODY, OWN, OTHERS}
    assert not crop.places.any()


def test_around_people_nothing_of_their_colours_is_learned(sample, tiny, tmp_path):
    before = sample(1)
    painted = np.where(before.layers["instances"][..., None] > 0, 255 - before.image, before.image)
    crops = [
        crop_store.load(Samples([one], name), tiny, tmp_path, lambda *_: None)
        for name, one in (("before", before), ("painted", attrs.evolve(before, image=painted)))
    ]
    margin = people.margin_px(tiny.margin, tiny.crop_px)
    for ours, theirs in zip(*crops, strict=True):
        first, second = (views_of([crop], [margin]) for crop in (ours, theirs))
        assert torch.equal(first.background, second.background)
        assert (first.people() != second.people()).any()
        assert first.making.mean() > 0.1
    plan = people.plans_of(people.numbered(before)[0], tiny.crop_px, "box")[0]
    plain = [people.cut(people.numbered(one)[0], plan, "mpfb") for one in (before, attrs.evolve(before, image=painted))]
    # What it is for: cut out as they are, they would show it.
    assert not torch.equal(*(views_of([crop], [margin]).background for crop in plain))


def test_key_points_are_dots_and_mirror(sample):
    points = {
        "nose": Keypoint(30, 20), "left_wrist": Keypoint(25, 40, visible=True),
        "right_wrist": Keypoint(36, 40, visible=False), "left_foot": Keypoint(30, 60),
    }  # fmt: skip
    one = sample(1, ("anna",))
    one = attrs.evolve(one, people=[attrs.evolve(one.people[0], keypoints=points)])
    assert people.tells_posture(one, "keypoints")
    assert not people.tells_posture(sample(1), "keypoints")
    numbered, _ = people.numbered(one)
    (plan,) = people.plans_of(numbered, (40, 72), "box")
    places = people.cut(numbered, plan, "keypoints").places
    nose, left, right = (1 + surface.KEYPOINTS.index(name) for name in ("nose", "left_wrist", "right_wrist"))
    assert set(np.unique(places)) == {0, nose, left}  # who is hidden is not told, nor what COCO does not have
    for row, name in ((nose, "nose"), (left, "left_wrist")):
        middle = np.argwhere(places == row).mean(axis=0)[::-1] + 0.5
        assert middle == pytest.approx(plan.to_crop((points[name].x_px, points[name].y_px)), abs=0.5)
    mirror = surface.mirror_of("keypoints")
    assert mirror[[0, nose, left]].tolist() == [0, nose, right]
    assert np.array_equal(mirror[mirror], np.arange(18))
    table = surface.table_of("keypoints", None)
    assert table.shape == (1 + surface.places_of("keypoints"), surface.channels_of("keypoints"))
    assert (table[1:] ** 2).mean(axis=1) == pytest.approx(1)
    assert not table[0].any()
