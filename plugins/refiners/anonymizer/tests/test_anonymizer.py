# SPDX-License-Identifier: Apache-2.0
"""Masking, blurring and pixelating: what changes, what is left of people, and whether it comes back."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, RotatedBox, Sample, Skipped
from synthkit.seeds import Seeds

METHODS = ("anonymizer-mask", "anonymizer-blur", "anonymizer-pixelate")
SIZE = 240


registry = functools.cache(discover)


def refined(name: str, sample: Sample, tmp_path: Path, **options: object) -> Sample | Skipped:
    with registry().build(ComponentSpec("refiner", name, options), Runtime(Seeds(0), tmp_path)) as refiner:
        (result,) = refiner.refine([sample])
    return result


def patterned(size: int = SIZE, seed: int = 1) -> np.ndarray:
    """Return an image with detail of every size, as clothes and faces have it."""
    stream = Seeds(seed).stream("pattern")
    image = np.zeros((size, size, 3), np.float32)
    for side in (4, 8, 16, 32, 64):
        coarse = stream.normal(0, 1, (max(2, size // side), max(2, size // side), 3)).astype(np.float32)
        image += 18 * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def standing(scale: float = 1.0) -> tuple[Sample, np.ndarray]:
    """Return a sample with one person, an ellipse with a head, and the mask."""
    layer = np.zeros((SIZE, SIZE), np.uint8)
    centre = SIZE // 2
    cv2.ellipse(layer, (centre, centre), (round(30 * scale), round(80 * scale)), 0, 0, 360, 1, -1)
    top = centre - 80 * scale
    person = Person(instance=1, head_box_xyxy_px=(centre - 12 * scale, top, centre + 12 * scale, top + 26 * scale))
    return Sample(key="s", image=patterned(), people=[person], layers={"instances": layer}), layer > 0


def detail(image: np.ndarray, sigma: float) -> np.ndarray:
    grey = image.astype(np.float32).mean(axis=2)
    return grey - cv2.GaussianBlur(grey, (0, 0), sigma)


def likeness(one: np.ndarray, other: np.ndarray, mask: np.ndarray, sigma: float) -> float:
    """Return the correlation of what is finer than ``sigma`` inside a mask."""
    a, b = (detail(image, sigma)[mask] for image in (one, other))
    if a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("name", METHODS)
def test_people_change_with_a_margin_and_nothing_else_does(name, tmp_path):
    before, mask = standing()
    after = refined(name, before, tmp_path, margin=0.05)
    reach = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    changed = (after.image != before.image).any(axis=2)
    assert changed[mask].mean() > 0.97
    assert changed[(reach > 0) & (reach < 7)].mean() > 0.97  # 0.05 of 161 pixels
    assert not changed[reach > 9.5].any()
    assert (after.key, after.people) == (before.key, before.people)
    assert (after.layers["instances"] == before.layers["instances"]).all()


@pytest.mark.parametrize("name", METHODS)
def test_boxes_do_where_there_are_no_masks(name, tmp_path):
    image = patterned()
    people = [Person(rotated_box=RotatedBox(70, 70, 30, 60, 45)), Person(box_xyxy_px=(150, 150, 190, 230))]
    after = refined(name, Sample(key="s", image=image, people=people), tmp_path)
    changed = (after.image != image).any(axis=2)
    inside = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(inside, people[0].rotated_box.corners_px().round().astype(np.int32), 1)
    inside[150:230, 150:190] = 1
    assert changed[inside > 0].mean() > 0.97
    assert changed.mean() < inside.mean() * 1.5


@pytest.mark.parametrize("name", METHODS)
def test_pixels_of_somebody_of_whom_nothing_else_is_known_are_treated(name, tmp_path):
    before, _ = standing()
    layer = before.layers["instances"].copy()
    layer[:20, :20] = 7
    image = before.image
    for people in (None, before.people):
        after = refined(name, Sample(key="s", image=image, people=people, layers={"instances": layer}), tmp_path)
        assert (after.image[layer > 0] != image[layer > 0]).any(axis=1).mean() > 0.97


@pytest.mark.parametrize("people", [None, [Person(head_px=(20, 20))], [Person(identity="ann")]])
def test_where_nothing_tells_where_people_are_the_sample_is_skipped(people, tmp_path):
    sample = Sample(key="s", image=patterned(), people=people)
    for name in METHODS:
        result = refined(name, sample, tmp_path)
        assert isinstance(result, Skipped)
        assert "masks" in result.reason


def test_the_hidden_and_the_absent_stop_nothing(tmp_path):
    image = patterned()
    people = [Person(instance=3, visible_fraction=0.0), Person(box_xyxy_px=(-90, 10, -20, 60))]
    after = refined("anonymizer-mask", Sample(key="s", image=image, people=people), tmp_path)
    assert (after.image == image).all()


@pytest.mark.parametrize("name", METHODS)
def test_heads_alone(name, tmp_path):
    before, mask = standing()
    after = refined(name, before, tmp_path, extent="head", margin=0.1)
    changed = (after.image != before.image).any(axis=2)
    left, top, right, bottom = (round(value) for value in before.people[0].head_box_xyxy_px)
    assert changed[top:bottom, left:right].mean() > 0.97
    assert not changed[bottom + 8 :].any()
    unknown = Sample(key="s", image=before.image, people=[Person(instance=1)], layers=before.layers)
    whole = refined(name, unknown, tmp_path, extent="head")
    assert (whole.image != before.image).any(axis=2)[mask].mean() > 0.97


def test_what_is_under_a_mask_changes_nothing(tmp_path):
    before, mask = standing()
    other = before.image.copy()
    other[mask] = 255 - other[mask]
    outputs = [
        refined("anonymizer-mask", Sample(key="s", image=i, people=before.people, layers=before.layers), tmp_path)
        for i in (before.image, other)
    ]
    assert (outputs[0].image == outputs[1].image).all()


@pytest.mark.parametrize("scale", [0.3, 0.6, 1.2])
@pytest.mark.parametrize("name", ["anonymizer-blur", "anonymizer-pixelate"])
def test_strength_goes_with_size(name, scale, tmp_path):
    """Detail finer than a part of a person is gone, as large as that part may be in pixels; what is coarser stays."""
    before, mask = standing(scale)
    after = refined(name, before, tmp_path, body_cells=6.0, shades=0)
    length = 160 * scale
    assert likeness(before.image, after.image, mask, 0.02 * length) < 0.3
    assert likeness(before.image, after.image, mask, 0.5 * length) > 0.4


def wiener(image: np.ndarray, kernel: np.ndarray, noise: float) -> np.ndarray:
    """Restore by Wiener's filter (Gonzalez and Woods, Digital Image Processing, equation 5.8-6)."""
    transfer = np.fft.fft2(np.fft.ifftshift(kernel))
    inverse = np.conj(transfer) / (np.abs(transfer) ** 2 + noise)
    parts = [np.fft.ifft2(np.fft.fft2(image[..., c].astype(np.float64)) * inverse).real for c in range(3)]
    return np.clip(np.stack(parts, axis=2), 0, 255)


def richardson_lucy(image: np.ndarray, kernel: np.ndarray, rounds: int = 25) -> np.ndarray:
    """Restore by Richardson's and Lucy's iteration (Richardson 1972, equation 14)."""
    transfer = np.fft.fft2(np.fft.ifftshift(kernel))[..., None]
    observed = image.astype(np.float64) + 1
    estimate = observed.copy()
    for _ in range(rounds):
        seen = np.fft.ifft2(np.fft.fft2(estimate, axes=(0, 1)) * transfer, axes=(0, 1)).real
        ratio = observed / np.maximum(seen, 1e-3)
        back = np.fft.ifft2(np.fft.fft2(ratio, axes=(0, 1)) * np.conj(transfer), axes=(0, 1)).real
        estimate *= np.maximum(back, 0)
    return np.clip(estimate - 1, 0, 255)


def gaussian(sigma: float) -> np.ndarray:
    places = np.arange(SIZE) - SIZE // 2
    line = np.exp(-(places**2) / (2 * sigma**2))
    kernel = np.outer(line, line)
    return kernel / kernel.sum()


def response(name: str, cells: float, tmp_path: Path) -> np.ndarray:
    """Return the mean answer to a single bright pixel, as whoever knows the method would measure its kernel."""
    layer = np.ones((SIZE, SIZE), np.uint8)
    total = np.zeros((SIZE, SIZE))
    for shift in range(0, 40, 8):
        image = np.zeros((SIZE, SIZE, 3), np.uint8)
        at = SIZE // 2 - 20 + shift
        image[at - 8 : at + 8, at - 8 : at + 8] = 255
        sample = Sample(key="s", image=image, people=[Person(instance=1)], layers={"instances": layer})
        after = refined(name, sample, tmp_path, body_cells=cells, shades=0, margin=0.0, least_margin_px=0.0)
        total += np.roll(after.image[..., 0].astype(np.float64), (20 - shift, 20 - shift), axis=(0, 1))
    return total / total.sum()


@pytest.mark.parametrize("name", ["anonymizer-blur", "anonymizer-pixelate"])
def test_of_colours_nothing_is_left(name, tmp_path):
    """Clothes of one luminance (Rec. 601) cannot be told apart, unless that is asked for."""
    before, mask = standing()
    outputs: dict[int, list[np.ndarray]] = {3: [], 0: []}
    for colour in ((255, 0, 0), (0, 130, 0), (76, 76, 76)):
        image = before.image.copy()
        image[mask] = colour
        sample = Sample(key="s", image=image, people=before.people, layers=before.layers)
        for shades, found in outputs.items():
            found.append(refined(name, sample, tmp_path, shades=shades, margin=0.0, least_margin_px=0.0).image[mask])
    grey = outputs[3][0]
    assert (grey == grey[:, :1]).all()
    assert all((grey == other).all() for other in outputs[3][1:])
    assert all((outputs[0][0] != other).any(axis=1).mean() > 0.97 for other in outputs[0][1:])


def test_a_pixelated_person_has_as_many_greys_as_are_asked_for(tmp_path):
    before, mask = standing()
    for shades in (2, 3):
        after = refined("anonymizer-pixelate", before, tmp_path, shades=shades, body_cells=12)
        colours = np.unique(after.image[mask], axis=0)
        assert len(colours) <= shades
        assert (colours == colours[:, :1]).all()


@pytest.mark.parametrize("shades", [0, 3])
@pytest.mark.parametrize("name", ["anonymizer-blur", "anonymizer-pixelate"])
def test_deconvolution_brings_nobody_back(name, shades, tmp_path):
    """What Wiener's filter and Richardson-Lucy bring back of a plain Gaussian blur they do not of this one."""
    image = patterned()
    everywhere = np.ones((SIZE, SIZE), bool)
    fine = 8.0  # a head over a body of 240 pixels is some 30 high: detail finer than that is what faces are told by
    kernel = gaussian(5.0)
    plain = cv2.GaussianBlur(image, (0, 0), 5.0, borderType=cv2.BORDER_WRAP)
    brought_back = [likeness(image, attack, everywhere, fine)
                    for attack in (wiener(plain, kernel, 1e-4), richardson_lucy(plain, kernel))]  # fmt: skip
    assert min(brought_back) > 0.6

    layer = np.ones((SIZE, SIZE), np.uint8)
    sample = Sample(key="s", image=image, people=[Person(instance=1)], layers={"instances": layer})
    after = refined(name, sample, tmp_path, body_cells=6.0, shades=shades, margin=0.0, least_margin_px=0.0)
    known = response(name, 6.0, tmp_path)
    attacks = [wiener(after.image, known, noise) for noise in (1e-1, 1e-3, 1e-5)]
    attacks += [richardson_lucy(after.image, known)]
    assert max(likeness(image, attack, everywhere, fine) for attack in attacks) < 0.2


def test_layers_that_show_looks_do_not_leave(tmp_path):
    before, _ = standing()
    light = before.image.astype(np.float32) / 255
    layers = {**before.layers, "light": light, "strange": before.image, "depth": light[..., 0]}
    after = refined("anonymizer-mask", Sample(key="s", image=before.image, layers=layers), tmp_path)
    assert set(after.layers) == {"instances", "depth"}


def test_settings_that_would_hide_nothing_are_refused():
    with pytest.raises(ConfigError, match="body_cells"):
        registry().configure(ComponentSpec("refiner", "anonymizer-blur", {"body_cells": 100}))
