# SPDX-License-Identifier: Apache-2.0
"""Refining whole images in tiles: the same as without tiles, background and all, and no masks are needed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from synthkit.config import structure
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import check_chain, discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import save_checkpoint
from synthkit_cyclegan import whole_images
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.refiner import CycleGANRefiner

CPU = torch.device("cpu")


def generator_of(*, skip: bool = True, antialias: bool = False) -> Generator:
    """Return a small generator that changes what it sees, by contrasts of its own."""
    network = Generator(4, skip=skip, antialias=antialias, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.layers[-1].weight.normal_(0, 0.15, generator=torch.Generator().manual_seed(2))
    return network.eval().requires_grad_(False)


def image_of(height: int = 122, width: int = 203) -> np.ndarray:
    """Return an image, of no multiple of four, whose sides differ in light and texture."""
    noise = Seeds(1).stream("pixels").normal(0, 1, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2) * 90
    light = np.linspace(30, 210, width, dtype=np.float32)[None, :, None]
    return np.clip(light + smooth * np.linspace(0.1, 1, width)[None, :, None], 0, 255).astype(np.uint8)


def untiled(network: Generator, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % 4, 0, -width % 4, cv2.BORDER_REFLECT_101)
    with torch.inference_mode():
        return as_crops(network(as_images(padded[None])))[0, :height, :width]


@pytest.mark.parametrize(("skip", "antialias"), [(True, False), (False, False), (False, True)])
def test_no_pixel_differs_from_the_untiled_image_by_more_than_two_grey_levels(skip, antialias):
    network, image = generator_of(skip=skip, antialias=antialias), image_of()
    whole = untiled(network, image)
    assert np.abs(whole - image).mean() > 5, "there is something to differ in"
    for tile_px in (48, 200, 204):
        tiled = whole_images.translate(network, image, tile_px, CPU)
        assert tiled.shape == image.shape
        assert np.abs(tiled - whole).max() <= 0.55, "half a level of it is rounding to bytes"


def test_tiles_with_statistics_of_their_own_differ_by_far_more():
    network, image = generator_of(), image_of()
    whole = untiled(network, image)
    halves = np.concatenate([untiled(network, part) for part in (image[:, :100], image[:, 100:])], axis=1)
    far_from_the_border = np.r_[0:60, 150:203]
    assert np.abs(halves - whole)[:, far_from_the_border].max() > 10


def test_whole_images_need_no_masks_and_the_record_says_what_was_refined(tmp_path, runtime):
    network = generator_of()
    card = {
        "kind": "refiner", "name": "cyclegan",
        "architecture": {"generator": {"filters": 4, "blocks": 9, "skip": True}, "crop_px": 32, "head_at": [0.5, 0.25]},
    }  # fmt: skip
    checkpoint = save_checkpoint(tmp_path / "g.safetensors", network.state_dict(), card)
    before = Sample("photo", image_of(), ())
    config = structure(CycleGANConfig, {"region": "image", "tile_px": 64})
    with CycleGANRefiner(config, checkpoint, runtime) as refiner:
        (after,) = refiner.refine([before])
    assert np.abs(after.image - untiled(network, before.image)).max() <= 0.51
    assert after.meta["refined_by"] == [{"name": "cyclegan", "checkpoint_sha256": checkpoint.sha256, "region": "image"}]


def test_masks_are_asked_for_before_the_work_only_where_people_are_refined():
    registry = discover()
    for region, needs in (("people", {"instances"}), ("image", set())):
        declared = registry.declared(ComponentSpec("refiner", "cyclegan-dfm", {"region": region}))
        assert declared.needs == needs
    check_chain([("refiner", declared)], frozenset())
