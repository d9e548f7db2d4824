# SPDX-License-Identifier: Apache-2.0
"""Wrong surface maps are told from right ones by how many vertices they show for each part of the body."""

from __future__ import annotations

import numpy as np
import pytest
from made_sets import written
from typer.testing import CliRunner

from synthkit.bodies import judging
from synthkit.bodies.cutting import CROP
from synthkit.bodies.judging import CLASSES, Measures
from synthkit.bodies.misdetections import LEAST_PER_PART, parts_of, unique_vertices, vertices_per_part
from synthkit.bodies.reading import BodyCrops
from synthkit.cli.app import app
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError
from synthkit.sample import Person, Sample, evolve
from synthkit.surfaces import MPFB, SMPL, SPACES

HEIGHT, WIDTH = 72, 40
HALF = np.repeat([0, 1], MPFB.vertices // 2).astype(np.uint8)  # a body of two parts


def test_the_measures_of_a_map_by_hand():
    """Vertices 0, 1 and 2 of part 4, vertex 3 of part 9: four of two parts."""
    surface = np.array([[1, 1, 2, 3], [0, 4, 4, 0]], np.uint16)
    parts = np.array([4, 4, 4, 9, 9], np.uint8)
    assert unique_vertices(surface) == 4
    assert vertices_per_part(surface, parts) == 2.0
    assert vertices_per_part(np.zeros((3, 3), np.uint16), parts) == 0.0


def test_the_same_vertices_from_all_over_the_body_count_less():
    """What the thesis observed of failures, which the number of vertices alone does not tell."""
    one_part = np.arange(1, 101, dtype=np.uint16).reshape(10, 10)
    scattered = np.linspace(1, MPFB.vertices, 100).astype(np.uint16).reshape(10, 10)
    assert unique_vertices(one_part) == unique_vertices(scattered) == 100
    parts = parts_of(MPFB)
    assert vertices_per_part(scattered, parts) < 10 < vertices_per_part(one_part, parts)


def test_the_table_that_ships_is_the_renderers():
    surface = pytest.importorskip("synthkit_blender.people.surface")
    assert np.array_equal(parts_of(MPFB), surface.body_parts())


def test_cses_default_is_the_thesiss():
    assert LEAST_PER_PART[SMPL.name] == 135
    assert set(LEAST_PER_PART) == set(SPACES)


TABLES = {
    "of another mesh": (np.zeros(9, np.uint8), r"has the shape \(9,\), expected a number for each of 27554"),
    "of numbers that are none": (np.full(27_554, np.nan), "npy of float64 is refused"),
    "of too large numbers": (np.full(27_554, 256), "has parts from 256 to 256"),
    "of objects": (np.array([{}], dtype=object), "npy of object is refused"),
}


@pytest.mark.parametrize(("table", "message"), TABLES.values(), ids=TABLES.keys())
def test_tables_of_parts_are_looked_at(tmp_path, table, message):
    np.save(tmp_path / "parts.npy", table)
    with pytest.raises(ConfigError, match=message):
        parts_of(SMPL, tmp_path / "parts.npy")
    with pytest.raises(ConfigError, match="cannot be read"):
        parts_of(SMPL, tmp_path / "missing.npy")


def measured(per_part, right):
    return [Measures(n, f"k{n}", n, value, share) for n, (value, share) in enumerate(zip(per_part, right, strict=True))]


def test_the_threshold_leaves_out_a_tenth_at_most():
    found = measured(range(100), [0.2] * 20 + [0.9] * 80)
    assert judging.suggested(found) == 10
    assert judging.lowest(found, "per_part", 0.1) == {CLASSES[0]: 1.0, CLASSES[1]: 0.0, CLASSES[2]: 0.0}


def test_the_threshold_keeps_most_good_ones():
    """Of the lowest 15 of 100 ten are good, from the third on: five of them may go."""
    found = measured(range(100), [0.2] * 2 + [0.9] * 10 + [0.6] * 3 + [0.9] * 85)
    assert judging.suggested(found) == 7
    curves = judging.cumulative(found)
    assert curves[CLASSES[2]][0] == (2, 0.1)
    assert [len(curve) for curve in curves.values()] == [2, 3, 10]


def crop(key, surface, truth="real"):
    """Return a crop that was cut out of the image of the same place."""
    meta = {CROP: {"of": truth, "crop_from_image": [[1, 0, 0], [0, 1, 0]]}}
    layers = {"instances": np.ones((HEIGHT, WIDTH), np.uint8), "surface": surface}
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    return Sample(key=key, image=image, people=[Person(instance=1)], layers=layers, meta=meta)


@pytest.fixture
def sets(tmp_path):
    """Write crops with a right map, a wrong one of few vertices, and the truth of both."""
    right = np.arange(1, HEIGHT * WIDTH + 1, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    wrong = np.where(np.arange(WIDTH) % 2, 1, MPFB.vertices).astype(np.uint16) * np.ones((HEIGHT, 1), np.uint16)
    written(tmp_path / "truth", [crop("real", right)])
    written(tmp_path / "crops", [crop("right", right), crop("wrong", wrong)])
    return tmp_path


def test_truth_judges_maps(sets):
    crops, truth = BodyCrops.open(sets / "crops"), Dataset.open(sets / "truth")
    right, wrong = judging.measures(crops, HALF, truth)
    assert (right.right, right.judgement) == (1.0, CLASSES[2])
    assert (wrong.right, wrong.judgement) == (0.5, CLASSES[1]), "each second pixel is of the right half"
    assert right.per_part > wrong.per_part == 1
    with pytest.raises(DatasetError, match="has no sample 'real'"):
        list(judging.measures(crops, HALF, Dataset.open(sets / "crops")))


def test_the_page_and_the_filter(sets):
    run = CliRunner().invoke
    page = sets / "page.html"
    for _ in range(2):  # a page of its own is written anew
        told = run(app, ["bodies", "judge", str(sets / "crops"), str(page), "--truth", str(sets / "truth")])
        assert told.exit_code == 0, told.output
    assert "threshold: " in told.output
    text = page.read_text()
    assert "As truth judges them" in text
    assert "figure A.6" in text
    page.write_text("mine")
    assert run(app, ["bodies", "judge", str(sets / "crops"), str(page)]).exit_code != 0
    assert page.read_text() == "mine"
    told = run(app, ["bodies", "filter", str(sets / "crops"), str(sets / "kept"), "--least", "20"])
    assert "(1 crops of 2)" in told.output, told.output
    (kept,) = Dataset.open(sets / "kept")
    assert kept.key == "right"


def test_maps_of_a_mesh_whose_parts_nobody_tells_may_all_be_believed(tmp_path):
    sample = crop("a", np.ones((HEIGHT, WIDTH), np.uint16))
    layers = {"instances": sample.layers["instances"], "surface_smpl": sample.layers["surface"]}
    written(tmp_path / "crops", [evolve(sample, layers=layers)])
    words = ["bodies", "filter", str(tmp_path / "crops"), str(tmp_path / "kept")]
    told = CliRunner().invoke(app, words)
    assert "--least 0 believes all maps" in f"{told.exception} {told.output}"
    told = CliRunner().invoke(app, [*words, "--least", "0"])
    assert "(1 crops of 1)" in told.output, told.output
