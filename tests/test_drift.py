# SPDX-License-Identifier: Apache-2.0
"""The drift guard: what moves, vanishes or is new is found and taken back, other looks are let through."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit import crops, pipeline
from synthkit.config import setting
from synthkit.dataset import DatasetWriter
from synthkit.drift.counting import DriftCounts, count, total
from synthkit.drift.guard import guarded
from synthkit.drift.measuring import CROP_PX, measure_newcomers, measure_person
from synthkit.drift.settings import GuardSettings
from synthkit.errors import DatasetError, PluginError
from synthkit.execution import Local
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, ComponentSpec
from synthkit.plugins import Origin, Registry
from synthkit.sample import Person, Sample, evolve
from synthkit.session import Session
from synthkit.settings import RunSettings

LIMITS = GuardSettings()


def figure(shift=(0, 0), present=True):
    """Return a person of three colours in a room with a rug, (CROP_PX, CROP_PX, 3), and the person's mask."""
    image = np.full((CROP_PX, CROP_PX, 3), (190, 180, 160), np.uint8)
    cv2.rectangle(image, (10, 84), (60, 120), (120, 60, 60), -1)
    cv2.line(image, (0, 30), (127, 50), (90, 90, 90), 3)
    mask = np.zeros(image.shape[:2], np.uint8)
    x, y = 64 + shift[0], 64 + shift[1]
    for canvas, colours in ((image, ((70, 90, 150), (40, 40, 50), (200, 150, 120))), (mask, (1, 1, 1))):
        if present or canvas is mask:
            cv2.ellipse(canvas, (x, y), (22, 34), 0, 0, 360, colours[0], -1)
            cv2.rectangle(canvas, (x - 12, y + 14), (x + 12, y + 44), colours[1], -1)
            cv2.circle(canvas, (x, y - 32), 11, colours[2], -1)
    return image, mask > 0


def caught(before, after, mask):
    found = measure_person(before, after, mask, 1.0)
    return found.moved > LIMITS.moved or found.lost > LIMITS.lost


@settings(max_examples=15, deadline=None)
@given(
    gain=st.tuples(*[st.floats(0.5, 1.6)] * 3),
    offset=st.integers(-30, 30),
    blur_px=st.floats(0.3, 1.5),
    seed=st.integers(0, 99),
)
def test_other_colours_contrast_blur_and_noise_are_no_drift(gain, offset, blur_px, seed):
    before, mask = figure()
    noise = np.random.default_rng(seed).normal(0, 5, before.shape)
    after = cv2.GaussianBlur(before * np.array(gain) + offset, (0, 0), blur_px) + noise
    assert not caught(before, np.clip(after, 0, 255).astype(np.uint8), mask)


@settings(max_examples=15, deadline=None)
@given(angle=st.floats(0, 2 * np.pi), length=st.integers(5, 9))
def test_a_person_who_is_shifted_is_caught(angle, length):
    before, mask = figure()
    after, _ = figure((round(length * np.cos(angle)), round(length * np.sin(angle))))
    assert caught(before, after, mask)
    assert caught(before, 255 - after, mask)


@pytest.mark.parametrize("shift", [(1, 0), (0, -1)])
def test_a_pixel_is_no_drift(shift):
    before, mask = figure()
    assert not caught(before, figure(shift)[0], mask)


def test_of_people_who_are_warped_by_5_pixels_at_most_95_of_100_are_caught():
    before, mask = figure()
    y, x = np.mgrid[:CROP_PX, :CROP_PX].astype(np.float32)
    found = []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=(2, CROP_PX, CROP_PX))
        across, down = smooth = np.stack([cv2.GaussianBlur(part, (0, 0), 16) for part in noise]).astype(np.float32)
        longest = np.hypot(*smooth)[mask].max()
        after = cv2.remap(before, x - 5 * across / longest, y - 5 * down / longest, cv2.INTER_CUBIC,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        found.append(caught(before, after, mask))
    assert np.mean(found) >= 0.95


def test_a_person_who_is_erased_is_caught():
    before, mask = figure()
    found = measure_person(before, figure(present=False)[0], mask, 1.0)
    assert found.lost > LIMITS.lost


def test_what_moves_within_the_mask_alone_is_caught():
    before, mask = figure()
    after = np.where(mask[..., None], figure((6, 4))[0], before)
    assert caught(before, after, mask)


def test_the_same_picture_has_no_drift():
    before, mask = figure()
    found = measure_person(before, before.copy(), mask, 1.0)
    assert (found.moved, found.lost) == (0, 0)


def room(shift=(0, 0), copies=0, present=True):
    """Return a sample of a larger room with the person of ``figure`` in it."""
    image = np.full((300, 300, 3), (190, 180, 160), np.uint8)
    instances = np.zeros((300, 300), np.uint8)
    picture, mask = figure(shift, present)
    image[86:214, 86:214] = picture
    instances[86:214, 86:214] = figure()[1]
    for n in range(copies):
        image[:CROP_PX, n * 150 : n * 150 + CROP_PX][mask] = picture[mask]
    person = Person(instance=1, head_px=(150, 118))
    return Sample(key="a", image=image, people=[person], layers={"instances": instances}, meta={"kept": 1})


def test_a_newcomer_is_caught_and_another_look_is_not():
    before, people = room(), room().layers["instances"] > 0
    assert measure_newcomers(before.image, room(copies=1).image, people, CROP_PX) > LIMITS.new
    other = np.clip(before.image * (0.7, 1.2, 1.0) + 10, 0, 255).astype(np.uint8)
    assert measure_newcomers(before.image, other, people, CROP_PX) < LIMITS.new
    inside = np.where(people[..., None], 255 - before.image, before.image)
    assert measure_newcomers(before.image, inside, people, CROP_PX) == 0


def test_who_drifted_gets_the_rendered_pixels_back():
    before, after = room(), room(shift=(9, 0))
    result = guarded(before, after, LIMITS, "mover")
    mask = before.layers["instances"] > 0
    assert np.array_equal(result.image[mask], before.image[mask])
    assert np.array_equal(result.image[~mask], after.image[~mask])
    assert result.meta["kept"] == 1
    [record] = result.meta["drift"]
    [person] = record["people"]
    assert (record["refiner"], record["image"], record["rolled_back"]) == ("mover", False, True)
    assert (person["instance"], person["drifted"]) == (1, True)
    assert result.people == before.people


def test_an_image_with_somebody_new_is_rolled_back_whole():
    before = room()
    result = guarded(before, room(copies=2), LIMITS, "doubler")
    assert result.meta["drift"][0]["image"]
    assert np.array_equal(result.image, before.image)


def test_modes_record_and_off():
    before, after = room(), room(shift=(9, 0))
    noted = guarded(before, after, GuardSettings(mode="record"), "mover")
    assert np.array_equal(noted.image, after.image)
    assert noted.meta["drift"][0]["people"][0]["drifted"]
    assert not noted.meta["drift"][0]["rolled_back"]
    assert guarded(before, after, GuardSettings(mode="off"), "mover") is after


def test_without_masks_nobody_is_checked():
    before = evolve(room(), layers={})
    assert "drift" not in guarded(before, evolve(before, image=room(present=False).image), LIMITS, "r").meta


def test_another_size_is_the_refiners_mistake():
    half = Sample(key="a", image=room().image[:150])
    with pytest.raises(PluginError, match=r"'halver': the image of a had \(300, 300\) pixels and has \(300, 150\)"):
        guarded(room(), half, LIMITS, "halver")


def counts(**found):
    return DriftCounts(**{field.name: found.get(field.name, 0) for field in attrs.fields(DriftCounts)})


def test_counts_are_of_the_last_refinement():
    first = guarded(room(), room(shift=(9, 0)), LIMITS, "one")
    second = guarded(first, first, LIMITS, "two")
    assert total([first.meta, first.meta]) == counts(people=2, drifted=2, moved=2, lost=2, rolled_back=2, images=2)
    assert total([second.meta]) == counts(people=1, images=1)
    assert total([{}]) is None
    assert str(total([first.meta])) == "1 of 1 people drifted (1 moved, 1 lost; 1 rolled back)"


def test_counts_tell_how_people_drifted_and_who_was_rolled_back():
    noted = GuardSettings(mode="record")
    metas = [
        guarded(room(), room(present=False), LIMITS, "eraser").meta,
        guarded(room(), room(shift=(9, 0)), noted, "mover").meta,
        guarded(room(), room(copies=2), LIMITS, "doubler").meta,
        guarded(room(), room(), LIMITS, "nothing").meta,
    ]
    found = total(metas)
    assert (found.people, found.drifted, found.rolled_back) == (4, 2, 1)
    assert 1 <= found.lost <= 2
    assert (found.images, found.images_drifted, found.images_rolled_back) == (4, 1, 1)
    assert str(found).endswith("; 1 rolled back), and 1 of 4 images got somebody new (1 rolled back)")


@pytest.mark.parametrize("foreign", ["wind", [], [3], [{"people": 1}], [{"people": [{}], "limits": {}}], {"a": 1}])
def test_what_others_call_drift_does_not_count(foreign):
    assert total([{"drift": foreign}]) is None
    marked = evolve(room(), meta={"drift": foreign})
    earlier = foreign if isinstance(foreign, list) else []
    assert guarded(marked, marked, LIMITS, "one").meta["drift"][:-1] == earlier


def by_crop(change, size_px=CROP_PX, after=None):
    """Return the result of a refiner that puts a changed crop back, guarded.

    Args:
        change: what it does to the crop (size_px, size_px, 3). after: what it does to the image then.
    """
    before = room()
    with crops.watched() as reinserted:
        [plan] = crops.plan_crops(before, (size_px, size_px))
        image = crops.reinsert(before, [(plan, change(crops.extract(before.image, plan)))])
    if after is not None:
        image = after(image)
    return before, guarded(before, evolve(before, image=image), LIMITS, "r", reinserted)


def shifted(by_px):
    return lambda crop: np.roll(crop, by_px, axis=(0, 1))


@pytest.mark.parametrize("size_px", [64, 96, CROP_PX, 256])
def test_crops_that_are_put_back_are_seen_before_masks_hide_what_moved(size_px):
    step = 5 * size_px // CROP_PX
    before, result = by_crop(shifted((step, 0)), size_px)
    assert result.meta["drift"][0]["people"][0]["drifted"]
    assert np.array_equal(result.image, before.image)


def test_what_the_mask_hides_in_the_image_is_seen_in_the_crop():
    """Of people in one colour only the silhouette tells, and that stays where it is when crops come back."""
    people = room().layers["instances"] > 0
    before = evolve(room(), image=np.where(people[..., None], np.uint8(90), np.full(3, 200, np.uint8)))
    [plan] = crops.plan_crops(before, (CROP_PX, CROP_PX))
    with crops.watched() as reinserted:
        image = crops.reinsert(before, [(plan, shifted((0, 5))(crops.extract(before.image, plan)))])
    after = evolve(before, image=image)
    by_image, by_crops = (
        guarded(before, after, LIMITS, "r", seen).meta["drift"][0]["people"][0] for seen in ((), reinserted)
    )
    assert by_crops["moved"] > max(LIMITS.moved, by_image["moved"])


def test_what_surrounds_people_in_crops_is_not_theirs():
    def behind(crop):
        mask = crops.extract_mask(room().layers["instances"], crops.plan_crops(room(), (CROP_PX, CROP_PX))[0])
        noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
        return np.where(mask[..., None], crop, cv2.resize(noise, (CROP_PX, CROP_PX)))

    _, result = by_crop(behind)
    [person] = result.meta["drift"][0]["people"]
    assert not person["drifted"]


def test_what_is_done_to_the_image_besides_is_seen_too():
    moved = room(shift=(9, 0)).image
    _, result = by_crop(lambda crop: crop, after=lambda _: moved)
    assert result.meta["drift"][0]["people"][0]["drifted"]


def test_crops_may_be_put_back_in_turn():
    before = room()
    [plan] = crops.plan_crops(before, (CROP_PX, CROP_PX))
    darker = (0.9 * crops.extract(before.image, plan)).astype(np.uint8)
    with crops.watched() as seen:
        once = evolve(before, image=crops.reinsert(before, [(plan, darker)]))
        twice = crops.reinsert(once, [(plan, shifted((5, 0))(darker))])
    assert [len(one.crops) for one in seen] == [1, 1]
    assert np.array_equal(seen[1].sample.image, seen[0].image)
    assert guarded(before, evolve(before, image=twice), LIMITS, "r", seen).meta["drift"][0]["people"][0]["drifted"]


def test_crops_that_come_through_masks_of_the_refiners_own_do_not_explain_the_image():
    """Here a mask that is wide enough lets the refiner draw somebody new beside."""
    before = room()
    wide = evolve(before, layers={"instances": np.ones((300, 300), np.uint8)})
    plan = attrs.evolve(crops.plan_crops(before)[0], size_px=(300, 300), crop_from_image=np.eye(2, 3))
    with crops.watched() as seen:
        image = crops.reinsert(wide, [(plan, room(copies=2).image)])
    assert guarded(before, evolve(before, image=image), LIMITS, "r", seen).meta["drift"][0]["image"]


@attrs.frozen
class Config:
    dx: int = setting(9, help="where to")


class Mover:
    def __init__(self, config, checkpoint, runtime):
        self._dx = config.dx

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def refine(self, samples):
        for sample in samples:
            yield evolve(sample, image=room(shift=(self._dx, 0)).image)


class CropMover(Mover):
    def refine(self, samples):
        for sample in samples:
            [plan] = crops.plan_crops(sample, (CROP_PX, CROP_PX))
            crop = np.roll(crops.extract(sample.image, plan), self._dx, axis=1)
            yield evolve(sample, image=crops.reinsert(sample, [(plan, crop)]))


class Plugin:
    @hookimpl
    def synthkit_components(self):
        target = f"{__name__}:Mover"
        return [
            Component("refiner", "mover", "s", Config, target),
            Component("refiner", "crop-mover", "s", Config, f"{__name__}:CropMover"),
            Component("refiner", "changer", "s", Config, target, keeps_people=False),
        ]


@pytest.fixture
def refine(tmp_path, monkeypatch):
    registry = Registry()
    registry.add(Plugin(), Origin("test", "1", "test"))
    monkeypatch.setattr("synthkit.jobs.discover", lambda: registry)
    with DatasetWriter(tmp_path / "in", identity={}, scenes=1) as writer:
        writer.spool.put(0, [room()])
        writer.finished(0)
        writer.finalise()

    def run(name, out, source="in", **guard):
        session = Session(registry, RunSettings(guard=GuardSettings(**guard)), Local(0))
        return pipeline.refine(session, ComponentSpec("refiner", name), tmp_path / source, tmp_path / out).dataset

    return run


def test_the_guard_stands_behind_every_refiner(refine):
    made = refine("mover", "out")
    assert count(made) == counts(people=1, drifted=1, moved=1, lost=1, rolled_back=1, images=1)
    assert made.manifest.notes["stages"][-1]["guard"]["mode"] == "on"
    moved = refine("mover", "off", mode="off")
    assert count(moved) is None
    assert not np.array_equal(moved[0].image, made[0].image)


def test_a_refiner_of_crops_is_guarded_by_its_crops_without_knowing(refine):
    made = refine("crop-mover", "out")
    assert count(made).rolled_back == 1
    assert np.array_equal(made[0].image, room().image)


def test_it_is_not_for_those_who_are_meant_to_change_people(refine):
    assert count(refine("changer", "out")) is None


def test_what_an_earlier_refinement_did_is_not_told_of_one_that_nobody_looked_at(refine):
    once = refine("mover", "once")
    for name, mode in (("changer", "on"), ("mover", "off")):
        twice = refine(name, f"twice-{name}", source="once", mode=mode)
        assert count(twice) is None
        assert twice[0].meta["drift"] == [*once[0].meta["drift"], None]
    assert count(refine("mover", "thrice", source="twice-changer")).people == 1


def test_other_limits_are_another_set(refine):
    refine("mover", "out")
    refine("mover", "out")
    with pytest.raises(DatasetError, match="guard"):
        refine("mover", "out", moved=0.5)
