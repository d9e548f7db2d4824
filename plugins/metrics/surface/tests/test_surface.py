# SPDX-License-Identifier: Apache-2.0
"""Surface consistency on a drawn world: bodies that are turned and lit, and what refiners may do to their paint."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from synthkit.config import structure
from synthkit.errors import DatasetError
from synthkit.interfaces import Keeping, Metric, Runtime
from synthkit.sample import Person, Sample, evolve
from synthkit.seeds import Seeds
from synthkit_surface.comparing import differences
from synthkit_surface.config import SurfaceConfig
from synthkit_surface.metric import SurfaceMetric
from synthkit_surface.patches import GROUPS, divide

HEIGHT_PX, WIDTH_PX = 144, 72
PEOPLE, VIEWS = 6, 5


def geometry():
    division = divide(160)
    skin = np.unique(division.faces)
    corners = division.vertices_m[division.faces]
    face_normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(division.vertices_m)
    for corner in range(4):
        np.add.at(normals, division.faces[:, corner], face_normals)
    return division, skin, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


DIVISION, SKIN, NORMALS = geometry()


def clothes(generator):
    """Return the paint of each patch, linear: a colour for head, trunk, arms and legs, a little varied."""
    garments = generator.uniform(0.03, 0.7, (len(GROUPS), 3))
    return garments[DIVISION.group] * generator.uniform(0.85, 1.15, (DIVISION.count, 1))


def sampled(key, identity, paint, generator, sequence=None):
    """Return a body from some side: each pixel shows the vertex that is nearest to the camera."""
    turn, light = generator.uniform(0, 2 * np.pi, 2)
    cos, sin = np.cos(turn), np.sin(turn)
    x, y, z = DIVISION.vertices_m[SKIN].T
    across, away = cos * x - sin * y, sin * x + cos * y
    column = np.clip((across / 1.9 + 0.5) * WIDTH_PX, 0, WIDTH_PX - 1).astype(int)
    row = np.clip((1 - (z - z.min()) / np.ptp(z)) * (HEIGHT_PX - 4) + 2, 0, HEIGHT_PX - 1).astype(int)
    surface = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint16)
    order = np.argsort(-away)
    surface[row[order], column[order]] = SKIN[order] + 1
    seen = surface > 0
    vertex = surface[seen].astype(int) - 1
    towards = np.array([np.cos(light) * 0.6, np.sin(light) * 0.6, 0.5])
    shading = generator.uniform(0.5, 1.2) * (0.45 + 0.55 * np.clip(NORMALS[vertex] @ towards, 0, 1))
    image = generator.integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)
    image[seen] = srgb(paint[DIVISION.of_vertex[vertex]] * shading[:, None])
    layers = {"instances": seen.astype(np.uint8), "surface": surface}
    person = Person(instance=1, identity=identity)
    return Sample(key=key, image=image, people=[person], layers=layers, sequence=sequence)


def srgb(linear):
    linear = np.clip(linear, 0, 1)
    codes = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * codes).astype(np.uint8)


def world(repainted=(), people=PEOPLE, sequences=False):
    """Return views of people; who is repainted in a group of places has another paint there in each view."""
    samples = []
    for who in range(people):
        generator = np.random.default_rng(who)
        paint = clothes(generator)
        for view in range(VIEWS):
            another = clothes(np.random.default_rng(1000 + 50 * who + view))
            changed = np.isin(DIVISION.group, [GROUPS.index(name) for name in repainted])
            mixed = np.where(changed[:, None], another, paint)
            sequence = f"clip{view // 3}" if sequences else None
            samples.append(sampled(f"p{who}v{view}", f"id{who}", mixed, generator, sequence))
    return samples


def recoloured(sample):
    """Return a sample whose people have the channels mixed in another way than in any other."""
    generator = np.random.default_rng([ord(letter) for letter in sample.key])
    mix = generator.dirichlet([0.4] * 3, 3)
    image = sample.image.copy()
    mask = sample.layers["instances"] > 0
    image[mask] = np.rint(image[mask] @ mix.T)
    return evolve(sample, image=image)


def blurred(sample):
    return evolve(sample, image=cv2.GaussianBlur(sample.image, (0, 0), 1.5))


def metric(tmp_path, **options):
    return SurfaceMetric(structure(SurfaceConfig, options), None, Runtime(Seeds(0), tmp_path))


def results(judging, candidate, reference=None):
    with judging:
        states = {"candidate": judging.observe("candidate", candidate)}
        if reference is not None:
            states["reference"] = judging.observe("reference", reference)
        return {(one.name, one.part): one for one in judging.compute(states)}


def consistency(found, kind="scenes"):
    return found[f"surface_consistency[{kind}]", ""].value, found[f"surface_spread[{kind}]", ""].value


def test_follows_the_protocols(tmp_path):
    assert isinstance(metric(tmp_path), Metric)
    assert isinstance(metric(tmp_path), Keeping)


def test_patches_cover_each_part_evenly():
    skin = DIVISION.of_vertex[:13_380]
    assert set(skin) == set(range(DIVISION.count))
    assert abs(DIVISION.count - 160) <= 10
    for patch in range(DIVISION.count):
        spread_m = np.ptp(DIVISION.vertices_m[:13_380][skin == patch], axis=0).max()
        assert spread_m < 0.3, f"patch {patch} of {GROUPS[DIVISION.group[patch]]}"


def test_what_refiners_do_to_paint(tmp_path):
    """Truth is near perfect and so is a blur of it; recolouring each image is not; random paint is at chance."""
    truth = world()
    share, spread = consistency(results(metric(tmp_path), truth))
    assert share > 0.97
    assert spread < 0.35
    blurry, blurry_spread = consistency(results(metric(tmp_path), map(blurred, truth)))
    assert share - blurry < 0.05
    assert blurry_spread < spread + 0.15
    recolour, recolour_spread = consistency(results(metric(tmp_path), map(recoloured, truth)))
    assert recolour < 0.8
    assert recolour_spread > 2 * spread
    chance, chance_spread = consistency(results(metric(tmp_path), world(repainted=GROUPS)))
    assert chance == pytest.approx(0.5, abs=0.1)
    assert chance_spread == pytest.approx(1, abs=0.1)


def test_it_is_told_where_colours_do_not_stay(tmp_path):
    found = results(metric(tmp_path, picture=str(tmp_path / "map" / "body.png")), world(repainted=["trunk"]))
    spread = {group: found["surface_spread[scenes]", group].value for group in GROUPS}
    assert spread["trunk"] > 0.7
    assert max(spread[group] for group in ("head", "arms", "legs")) < 0.5
    with Image.open(tmp_path / "map" / "body.png") as picture:
        assert min(picture.size) > 400


def test_the_light_is_not_the_paint(tmp_path):
    """Each view ten times brighter or darker changes nothing; each in another cast only what is not taken off."""
    generator = np.random.default_rng(1)
    colours = generator.uniform(0.02, 0.6, (4, 40, 3))
    lit = colours * generator.uniform(0.3, 3, (4, 1, 1))
    cast = colours * generator.uniform(0.5, 1.5, (4, 1, 3))
    assert np.allclose(differences(colours, lit, "exposure", 3), 0, atol=1e-6)
    assert np.allclose(differences(colours, cast, "cast", 3), 0, atol=1e-6)
    assert differences(colours, cast, "exposure", 3).min() > 1
    assert differences(colours, lit, "none", 3).mean() > 5


def test_differences_by_hand():
    """Of two greys only the lightness differs; what one view does not show is not compared."""
    first = np.full((1, 5, 3), 0.18)
    second = first.copy()
    second[0, 0] = 0.05  # L* 26.7 beside 49.5
    second[0, 1] = np.nan
    (apart,) = differences(first, second, "exposure", 3)
    assert np.isnan(apart[1])
    assert apart[[2, 3, 4]] == pytest.approx(0, abs=1e-6)
    assert apart[0] == pytest.approx(116 * np.cbrt(0.18) - 116 * np.cbrt(0.05), rel=1e-3)
    assert np.isnan(differences(first, second, "exposure", 5)).all()


def test_frames_of_clips_are_told_by_themselves(tmp_path):
    found = results(metric(tmp_path), world(sequences=True))
    assert {name.partition("[")[2] for name, _ in found} == {"scenes]", "frames]"}
    pairs = found["surface_consistency[frames]", ""].definition["pairs_of_a_person"]
    assert 0 < pairs <= PEOPLE * (3 + 1)


def test_draws(tmp_path):
    """Another draw of the same images: equal, it is perfect; with other paint it is at chance."""
    truth, another = world(), world(repainted=GROUPS)
    equal, spread = consistency(results(metric(tmp_path, compare="draws"), truth, truth), "draws")
    assert (equal, spread) == (1, 0)
    share, spread = consistency(results(metric(tmp_path, compare="draws"), another, truth), "draws")
    assert share == pytest.approx(0.5, abs=0.15)
    assert spread == pytest.approx(1, abs=0.15)


def test_order_and_parts_do_not_matter(tmp_path):
    truth = world(people=3)
    judging = metric(tmp_path, pairs=3)
    with judging:
        whole = judging.compute({"candidate": judging.observe("candidate", truth)})
        parts = [judging.observe("candidate", part) for part in (truth[7:], [], truth[:7])]
        joined = judging.compute({"candidate": judging.merge(parts)})
    assert [(one.value, one.interval) for one in joined] == [(one.value, one.interval) for one in whole]
    assert all(any("rest on 3 people" in caution for caution in one.cautions) for one in whole)


def test_the_curves_stand_apart(tmp_path):
    judging = metric(tmp_path)
    with judging:
        (chart,) = judging.explain({"candidate": judging.observe("candidate", world(people=3))}).charts
    own, others = chart.series["the same person"], chart.series["other people"]
    assert all(one[0] < other[0] for one, other in zip(own, others, strict=True))


def test_what_cannot_be_judged_is_told(tmp_path):
    truth = world(people=2)
    with pytest.raises(DatasetError, match=r"sample p0v0 has no layer surface: .*renderer\.layers"):
        results(metric(tmp_path), [evolve(truth[0], layers={"instances": truth[0].layers["instances"]})])
    with pytest.raises(DatasetError, match=r"renderer\.people\.identities gives.*; 2 views of 2 people"):
        results(metric(tmp_path), [truth[0], truth[VIEWS]])
    with pytest.raises(DatasetError, match="nobody of a known identity"):
        results(metric(tmp_path), [evolve(one, people=[Person(instance=1)]) for one in truth])
    strange = evolve(truth[0], layers={**truth[0].layers, "surface": np.full((HEIGHT_PX, WIDTH_PX), 60000, np.uint16)})
    with pytest.raises(DatasetError, match="vertices that the base mesh has not"):
        results(metric(tmp_path), [strange])


def test_the_plugin_module_is_light():
    code = "import sys, synthkit_surface.plugin; assert not {'torch', 'cv2', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
