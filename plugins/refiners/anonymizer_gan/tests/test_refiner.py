# SPDX-License-Identifier: Apache-2.0
"""Refining through its public face: nothing of the people who were there is in the result."""

from __future__ import annotations

import struct

import attrs
import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from sample_sets import Samples

from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, WeightsError
from synthkit.plugins import discover
from synthkit.sample import Keypoint, Person, Sample, Skipped
from synthkit.seeds import Seeds
from synthkit.surfaces import MPFB
from synthkit.training.checkpoints import save_checkpoint
from synthkit_anonymizer_gan import latents
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.making import Maker, picture_of
from synthkit_anonymizer_gan.networks import Generator, Shape
from synthkit_anonymizer_gan.people import BLANK, OWN
from synthkit_anonymizer_gan.refiner import GeneratingRefiner

PLAIN = GeneratingConfig()
CPU = torch.device("cpu")
ARCHITECTURE = {
    "size": [32, 16], "surface": 16, "channels": 4, "latent": 8, "mapping": 2, "appearance": True,
    "co_modulation": True, "cut": {"alignment": "box", "surface": "mpfb", "margin": 0.05},
}  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path):
    """Networks that have learned nothing, but do not ignore their latents."""

    def make(**changes) -> Checkpoint:
        told = {**ARCHITECTURE, **changes}
        shape = {key: value for key, value in told.items() if key not in ("cut", "size")}
        made = Generator(
            Shape(size=(32, 16), **shape), places=MPFB.vertices if told["surface"] else 0,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
        with torch.no_grad():
            if told["surface"]:
                made.embedding.normal_(generator=torch.Generator().manual_seed(2))
            for layer in made.mapping.layers:
                layer.bias.normal_(0, 30, generator=torch.Generator().manual_seed(3))
        card = {"kind": "refiner", "name": "anonymizer-gan", "architecture": told}
        return save_checkpoint(tmp_path / f"c{len(list(tmp_path.iterdir()))}.safetensors", made.state_dict(), card)

    return make


def _refine(config, checkpoint, runtime, samples):
    with GeneratingRefiner(config, checkpoint, runtime) as refiner:
        return list(refiner.refine(samples))


@pytest.mark.parametrize("appearance", [True, False])
@pytest.mark.parametrize("alignment", ["head", "box"])
def test_what_people_look_like_changes_nothing(appearance, alignment, checkpoint, runtime, sample):
    made = checkpoint(appearance=appearance, cut={**ARCHITECTURE["cut"], "alignment": alignment})
    before = sample(1)
    people = before.layers["instances"] > 0
    noise = Seeds(5).stream("noise").integers(0, 256, before.image.shape, dtype=np.uint8)
    other = attrs.evolve(before, image=np.where(people[..., None], noise, before.image))
    first, second = _refine(PLAIN, made, runtime, [before, other])
    assert np.array_equal(first.image, second.image)
    assert (first.image[people] != before.image[people]).any(axis=-1).mean() > 0.9
    far = cv2.dilate(people.astype(np.uint8), np.ones((21, 21))) == 0
    assert np.array_equal(first.image[far], before.image[far])
    # What is around them does count.
    elsewhere = attrs.evolve(before, image=np.where(people[..., None], before.image, 255 - before.image))
    (third,) = _refine(PLAIN, made, runtime, [elsewhere])
    assert (third.image[people] != first.image[people]).any()


RED = np.array([220, 30, 30])


@pytest.fixture
def painting(monkeypatch):
    """Everybody who is made is red, and so is the margin around them."""

    def painted(self, seen, latents, noise=None):
        return torch.from_numpy(RED / 127.5 - 1).float()[None, :, None, None].expand(len(seen), 3, *seen.shape[2:])

    monkeypatch.setattr(Generator, "forward", painted)


def _photo(boxes, size=480, light=240):
    """Return a bright photo of people who are boxes (top, bottom, left, right), many times larger than their crops."""
    image, instances = np.full((size, size, 3), light, np.uint8), np.zeros((size, size), np.uint8)
    for number, (top, bottom, left, right) in enumerate(boxes, 1):
        image[top:bottom, left:right], instances[top:bottom, left:right] = 5, number
    people = [Person(instance=number) for number in range(1, len(boxes) + 1)]
    surface = np.where(instances > 0, 7, 0).astype(np.uint16)
    return Sample(key="photo", image=image, people=people, layers={"instances": instances, "surface": surface})


@pytest.mark.parametrize("light", [0, 240])
def test_made_people_have_no_rim(light, checkpoint, runtime, painting):
    before = _photo([(40, 440, 130, 350)], light=light)
    (after,) = _refine(PLAIN, checkpoint(), runtime, [before])
    there, made = before.layers["instances"] > 0, after.image.astype(int)
    assert np.abs(made[there] - RED).max() <= 1
    # Around them it goes from what was made to what was there, and never beyond either.
    low, high = np.minimum(RED, light) - 1, np.maximum(RED, light) + 1
    assert ((made >= low) & (made <= high)).all()
    margin = ~there & (np.abs(made - light) > 1).any(axis=-1)
    assert 0 < margin.mean() < 0.2


def test_where_people_meet_both_are_made(checkpoint, runtime, painting):
    before = _photo([(40, 440, 60, 240), (100, 300, 240, 360)])
    (after,) = _refine(PLAIN, checkpoint(), runtime, [before])
    assert np.abs(after.image[before.layers["instances"] > 0].astype(int) - RED).max() <= 1


def test_a_margin_that_leaves_the_crop_takes_nothing_from_who_is_made(checkpoint, runtime, painting):
    made = checkpoint(cut={**ARCHITECTURE["cut"], "alignment": "head", "margin": 0.2})
    before = _photo([(40, 440, 130, 350)])
    (after,) = _refine(PLAIN, made, runtime, [before])
    assert np.abs(after.image[before.layers["instances"] > 0].astype(int) - RED).max() <= 1


def test_what_of_people_reaches_beyond_their_masks_is_not_seen(checkpoint, runtime, painting):
    before = _photo([(40, 440, 130, 350)])
    there = before.layers["instances"] > 0
    fringe = (cv2.dilate(there.astype(np.uint8), np.ones((7, 7))) > 0) & ~there
    noise = Seeds(5).stream("noise").integers(0, 256, before.image.shape, dtype=np.uint8)
    haired = attrs.evolve(before, image=np.where(fringe[..., None], noise, before.image))
    first, second = _refine(PLAIN, checkpoint(), runtime, [before, haired])
    assert np.array_equal(first.image, second.image)


def test_weights_that_make_what_is_no_number_are_told(checkpoint, runtime, monkeypatch):
    monkeypatch.setattr(Generator, "forward", lambda self, seen, latents, noise=None: seen[:, :3] * float("nan"))
    with pytest.raises(WeightsError, match="makes people of values that are not finite"):
        _refine(PLAIN, checkpoint(), runtime, [_photo([(40, 440, 130, 350)])])


def test_keys_people_and_places_stay_and_looks_go(checkpoint, runtime, sample):
    before = sample(1)
    before = attrs.evolve(before, layers={**before.layers, "light": np.ones((96, 96, 3), np.float32)})
    (after,) = _refine(PLAIN, checkpoint(), runtime, [before])
    assert (after.key, after.people) == (before.key, before.people)
    assert set(after.layers) == {"instances", "surface"}
    (note,) = after.meta["refined_by"]
    assert note["name"] == "anonymizer-gan"
    assert (note["people"], note["blank"]) == (2, 0)


def test_who_else_is_made_changes_nobody(checkpoint, runtime, sample):
    before = sample(1)
    anna, ben = before.people
    renamed = attrs.evolve(before, people=[anna, attrs.evolve(ben, identity="cleo")])
    first, second = _refine(PLAIN, checkpoint(), runtime, [before, renamed])
    instances = before.layers["instances"]
    assert np.array_equal(first.image[instances == 1], second.image[instances == 1])
    assert (first.image[instances == 2] != second.image[instances == 2]).any()


def test_an_identity_has_the_same_latent_in_all_images(checkpoint, runtime, sample, monkeypatch):
    used: list[np.ndarray] = []
    make = Maker.make

    def noted(self, crop, z):
        used.append(z)
        return make(self, crop, z)

    monkeypatch.setattr(Maker, "make", noted)
    made = checkpoint()
    _refine(PLAIN, made, runtime, [sample(1, ("anna", "ben")), sample(2, ("ben", "anna"))])
    maker = Maker(made, PLAIN, CPU)
    expected = {name: maker.drawn(runtime.seeds, name) for name in ("anna", "ben")}
    for name, z in expected.items():
        assert sum(np.array_equal(z, one) for one in used) == 2, name
    used.clear()
    unknown = [
        attrs.evolve(s, people=[attrs.evolve(p, identity=None) for p in s.people]) for s in (sample(1), sample(2))
    ]
    _refine(PLAIN, made, runtime, unknown)
    assert len({z.tobytes() for z in used}) == 4  # nobody in particular is somebody else each time


def test_whom_no_crop_or_surface_is_known_of_is_left_blank(checkpoint, runtime, sample):
    before = sample(1)
    places = np.where(before.layers["instances"] == 1, before.layers["surface"], 0).astype(np.uint16)
    partly = attrs.evolve(before, layers={**before.layers, "surface": places})
    (after,) = _refine(PLAIN, checkpoint(), runtime, [partly])
    assert (after.meta["refined_by"][0]["people"], after.meta["refined_by"][0]["blank"]) == (1, 1)
    assert (after.image[before.layers["instances"] == 2] == BLANK).all()
    tiny_layer = np.zeros((96, 96), np.uint8)
    tiny_layer[40:45, 40:45] = 1
    small = attrs.evolve(before, people=[Person(instance=1)], layers={"instances": tiny_layer, "surface": places})
    (after,) = _refine(PLAIN, checkpoint(), runtime, [small])
    assert (after.image[tiny_layer == 1] == BLANK).all()


def test_masks_alone_do_where_the_networks_want_no_surface(checkpoint, runtime, sample):
    made = checkpoint(surface=0, cut={**ARCHITECTURE["cut"], "surface": "none"})
    boxed = attrs.evolve(sample(1), layers={})
    (after,) = _refine(PLAIN, made, runtime, [boxed])
    assert after.meta["refined_by"][0]["people"] == 2
    nowhere = attrs.evolve(boxed, people=[Person()])
    (skipped,) = _refine(PLAIN, made, runtime, [nowhere])
    assert isinstance(skipped, Skipped)
    (same,) = _refine(PLAIN, made, runtime, [attrs.evolve(boxed, people=())])
    assert np.array_equal(same.image, boxed.image)


def test_truncated_people_are_alike(checkpoint, runtime, sample):
    before = sample(1)
    renamed = attrs.evolve(before, people=[attrs.evolve(p, identity=f"x{p.identity}") for p in before.people])
    for truncate in ("z", "w"):
        config = attrs.evolve(PLAIN, truncation=0.0, truncate=truncate)
        first, second = _refine(config, checkpoint(), runtime, [before, renamed])
        assert np.array_equal(first.image, second.image)
    first, second = _refine(PLAIN, checkpoint(), runtime, [before, renamed])
    assert not np.array_equal(first.image, second.image)
    modal = attrs.evolve(PLAIN, truncation=0.0, truncate="modes", modes=1)
    mean = attrs.evolve(PLAIN, truncation=0.0, truncate="w")
    (first,), (second,) = (_refine(config, checkpoint(), runtime, [before]) for config in (modal, mean))
    assert np.abs(first.image.astype(int) - second.image).max() <= 1  # the middle of one cluster is the mean


def test_a_look_can_be_taken_from_a_picture(checkpoint, runtime, sample, tmp_path):
    made = checkpoint()
    picture = np.zeros((64, 32, 4), np.uint8)
    picture[8:56, 8:24] = (10, 20, 250, 255)  # OpenCV's order: red
    cv2.imwrite(str(tmp_path / "look.png"), picture)
    crop = picture_of(tmp_path / "look.png", (16, 32))
    assert (crop.whose == OWN).sum() == 24 * 8
    assert crop.image[16, 8].tolist() == [250, 20, 10]
    # A photo is seen as its camera was held.
    upright = Image.fromarray(Seeds(1).stream("photo").integers(0, 256, (64, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.jpg", quality=95, exif=exif)
    upright.save(tmp_path / "upright.jpg", quality=95)
    lying, standing = (
        picture_of(tmp_path / f"{name}.jpg", (16, 32)).image.astype(int) for name in ("lying", "upright")
    )
    assert np.abs(lying - standing).mean() < 3
    before = sample(1)
    (after,) = _refine(attrs.evolve(PLAIN, look=tmp_path / "look.png"), made, runtime, [before])
    renamed = attrs.evolve(before, people=[attrs.evolve(p, identity=None) for p in before.people])
    (again,) = _refine(attrs.evolve(PLAIN, look=tmp_path / "look.png"), made, runtime, [renamed])
    assert np.array_equal(after.image, again.image)
    (plain,) = _refine(PLAIN, made, runtime, [before])
    assert not np.array_equal(after.image, plain.image)
    with pytest.raises(WeightsError, match="no appearance mapper"):
        _refine(attrs.evolve(PLAIN, look=tmp_path / "look.png"), checkpoint(appearance=False), runtime, [before])
    (tmp_path / "text.png").write_text("no picture")
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((8, 8, 4), np.uint8))
    empty = (tmp_path / "empty.png").read_bytes()
    (tmp_path / "half.png").write_bytes(empty[: len(empty) // 2])
    (tmp_path / "huge.png").write_bytes(empty[:16] + struct.pack(">II", 50_000, 50_000) + empty[24:])
    for name, told in (("missing.png", "cannot be read"), ("text.png", "is no picture"), ("empty.png", "transparent"),
                       ("half.png", "is no picture"), ("huge.png", "50000x50000 pixels is refused")):  # fmt: skip
        with pytest.raises(ConfigError, match=told):
            _refine(attrs.evolve(PLAIN, look=tmp_path / name), made, runtime, [before])


def test_strips_show_who_lies_between_two(checkpoint, sample):
    from synthkit_anonymizer_gan import people

    maker = Maker(checkpoint(), PLAIN, CPU)
    numbered, _ = people.numbered(sample(1))
    crop = people.cut(numbered, people.plans_of(numbered, maker.size_px, "box")[0], "mpfb")
    ends = [latents.of_identity(Seeds(1), name, 8) for name in ("anna", "ben")]
    strip = maker.strip(crop, maker.spread_out(latents.between(*ends, 5)))
    assert np.array_equal(strip[:, :16], maker.strip(crop, [maker.drawn(Seeds(1), "anna")]))
    assert strip.shape == (32, 5 * 16, 3)
    steps = np.abs(np.diff(np.split(strip.astype(float), 5, axis=1), axis=0)).mean(axis=(1, 2, 3))
    assert (steps > 0).all()
    assert steps.max() < np.abs(strip[:, :16].astype(float) - strip[:, -16:]).mean()


@pytest.mark.parametrize(
    "architecture",
    [
        "none",
        {key: value for key, value in ARCHITECTURE.items() if key != "cut"},
        {**ARCHITECTURE, "channels": 10**9},
        {**ARCHITECTURE, "channels": True},
        {**ARCHITECTURE, "size": [33, 16]},
        {**ARCHITECTURE, "size": [32, 32]},
        {**ARCHITECTURE, "surface": 0},
        {**ARCHITECTURE, "surface": 16.0},
        {**ARCHITECTURE, "cut": {**ARCHITECTURE["cut"], "alignment": "up"}},
        {**ARCHITECTURE, "more": 1},
    ],
)
def test_checkpoints_of_something_else_are_refused(architecture, checkpoint, runtime, tmp_path):
    whole = checkpoint()
    from synthkit.training.checkpoints import load_tensors

    card = {"kind": "refiner", "name": "anonymizer-gan", "architecture": architecture}
    made = save_checkpoint(tmp_path / "d.safetensors", load_tensors(whole), card)
    with pytest.raises(WeightsError, match="checkpoint"), GeneratingRefiner(PLAIN, made, runtime):
        pass


def test_presets_are_rows_of_the_tables():
    registry = discover()
    names = [f"anonymizer-{n}" for n in ("stylegan", "consistent", *(f"ladder-{m}" for m in (
        "stylegan", "base", "more-fm", "co-mod", "disc-cond", "large", "no-kl")))]  # fmt: skip
    rows = {}
    for name in names:
        component = registry.get("refiner", name).component
        assert not component.sees_people
        config = attrs.evolve(GeneratingConfig(), **component.defaults)
        rows[name.removeprefix("anonymizer-")] = (
            config.appearance, config.appearance and tuple(config.feature_maps), config.co_modulation,
            config.discriminator_sees, config.channels, config.images // 10**6,
        )  # fmt: skip
        assert (config.feature_weight, config.learning_rate) == (5, 1e-3)
        assert config.kl_weight == (0 if name.endswith("no-kl") else 0.01)
    late, early = (3, 4, 5, 6), (0, 1, 2, 3, 4)
    assert rows == {
        "stylegan": (False, False, False, "mask", 64, 40),
        "consistent": (True, early, True, "surface", 64, 30),
        "ladder-stylegan": (False, False, False, "mask", 32, 12),
        "ladder-base": (True, late, False, "mask", 32, 12),
        "ladder-more-fm": (True, early, False, "mask", 32, 12),
        "ladder-co-mod": (True, early, True, "mask", 32, 12),
        "ladder-disc-cond": (True, early, True, "surface", 32, 12),
        "ladder-large": (True, early, True, "surface", 64, 12),
        "ladder-no-kl": (True, early, True, "surface", 32, 12),
    }
    small = attrs.evolve(GeneratingConfig(), **registry.get("refiner", "anonymizer-small").component.defaults)
    assert (small.appearance, small.co_modulation, small.feature_weight, small.kl_weight) == (True, True, 5, 0.01)


def test_people_are_made_from_key_points_alone(tiny, sample, runtime, tmp_path):
    def pointed(number):
        one = sample(number)
        anna, ben = one.people
        x, y = anna.head_px
        points = {"nose": Keypoint(x, y), "left_hip": Keypoint(x, y + 20), "right_hip": Keypoint(x + 4, y + 20)}
        layers = {"instances": one.layers["instances"]}
        return attrs.evolve(one, people=[attrs.evolve(anna, keypoints=points), ben], layers=layers)

    config = attrs.evolve(tiny, surface="keypoints", images=4)
    made = GeneratingRefiner(config, None, runtime).fit({"target": Samples([pointed(1), pointed(2)], "sha")}, tmp_path)
    (found,) = _refine(PLAIN, made, runtime, [pointed(1)])
    assert found.meta["refined_by"][-1]["blank"] == 1  # of ben none are known
    blank = (found.image == BLANK).all(axis=-1)
    anna, ben = (found.layers["instances"] == number for number in (1, 2))
    assert blank[ben].mean() > 0.9
    assert blank[anna].mean() < 0.1
