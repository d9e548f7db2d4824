# SPDX-License-Identifier: Apache-2.0
"""Who comes back into a clip: the same person by their looks, and in doubt somebody new."""

from __future__ import annotations

import json

import made_people
import made_private
import numpy as np
import pytest

from synthkit.anonymization.policy import Policy
from synthkit.anonymization.reentry import Reentry, same_people
from synthkit.anonymization.run import Methods
from synthkit.config import structure
from synthkit.errors import ConfigError, WeightsError
from synthkit.sample import Person, RotatedBox, Sample, Sidecar

pytestmark = pytest.mark.usefixtures("sloppy_installed")

SIMILAR, APART = 0.75, 0.1
RED, GREEN, BLUE = (230, 30, 30), (30, 230, 30), (30, 30, 230)
WIDTH, HEIGHT, FRAMES = 160, 96, 30


def vector(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


@pytest.mark.parametrize(
    ("times", "degrees", "who"),
    [
        ([(0, 9), (0, 40), (20, 30)], [0, 90, 10], [0, 1, 0]),
        ([(0, 9), (0, 40), (20, 30)], [0, 90, 50], [0, 1, 2]),  # too little alike
        ([(0, 9), (0, 40), (20, 30)], [0, 20, 10], [0, 1, 2]),  # who was there all the time looks like that too
        ([(0, 9), (20, 30), (25, 40)], [0, 10, 12], [0, 1, 2]),  # one of the two who came, but which?
        ([(0, 9), (20, 30), (40, 50)], [0, 10, 5], [0, 0, 0]),
        ([(0, 9), (5, 15), (20, 30)], [0, 30, 14], [0, 1, 2]),  # one of the two who went, but which?
        ([(0, 25), (20, 30)], [0, 0], [0, 1]),  # was still there
        ([(0, 9), (20, 30), (40, 50)], [0, None, 0], [0, 1, 0]),
        ([(20, 30), (0, 9)], [10, 0], [1, 1]),  # places tell nothing about who came first
        ([(0, 9)], [None], [0]),
        ([], [], []),
    ],
)
def test_in_doubt_somebody_is_somebody_new(times, degrees, who):
    looks = [None if angle is None else vector(angle) for angle in degrees]
    assert same_people(times, looks, SIMILAR, APART) == who


def figure(image, left, colour):
    image[20:70, left : left + 20] = colour
    image[20:32, left : left + 20] = 200  # a head
    return (left, 20, left + 20, 70)


def clip(tmp_path, back, *, turned=False):
    """Write a clip, and finds in it: somebody green leaves for 12 frames, somebody comes; somebody red is there.

    Args:
        back: the colour of who comes. turned: whether places are told by rotated boxes.
    """
    samples, sides = [], []
    for n in range(FRAMES):
        image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        boxes = [figure(image, 100 + n, RED)]
        if n < 9:
            boxes.append(figure(image, 10 + 2 * n, GREEN))
        elif n >= 21:
            boxes.append(figure(image, 60 - 2 * (n - 21), back))
        where = {"key": f"s{n}", "sequence": "street", "frame": n}
        people = [
            Person(
                instance=k,
                attributes={"score": 0.9, "label": "person"},
                **({"rotated_box": RotatedBox(left + 10, 45, 20, 50, 0.0)} if turned else {"box_xyxy_px": box}),
            )
            for k, box in enumerate(boxes, 1)
            for left in [box[0]]
        ]
        samples.append(Sample(**where, image=image))
        sides.append(Sidecar(**where, people=people, meta={"size_px": [WIDTH, HEIGHT]}))
    return made_private.written(tmp_path / "images", samples), made_private.written(tmp_path / "found", sides)


def tracks(tmp_path, images, found, embedder=None, out="out"):
    """Return who is in each frame, as the audit record tells; edges are left by a refiner that covers no margin."""
    again = None if embedder is None else Reentry(embedder=str(embedder), similar=SIMILAR, apart=APART)
    policy = {"gap_frames": 3, "edge_frames": 1, "detail_left": 1.0, "reentry": again}
    made = made_private.anonymized(images, tmp_path / out, methods=Methods(finds=(found,)), **policy)
    people: dict[str, set[str]] = {}
    for line in map(json.loads, made.audit.read_text().splitlines()):
        people.setdefault(line["key"], set()).add(line["track"])
    return [people[f"s{n}"] for n in range(FRAMES)]


@pytest.mark.parametrize("turned", [False, True])
def test_who_comes_back_is_who_had_left(turned, tmp_path):
    images, found = clip(tmp_path, GREEN, turned=turned)
    embedder = made_people.colours_file(tmp_path / "net")
    with_it = tracks(tmp_path, images, found, embedder)
    assert with_it[3] == with_it[25] == {"track0000", "track0001"}
    assert with_it[15] == {"track0000"}
    without = tracks(tmp_path, images, found, out="other")
    assert without[3] == {"track0000", "track0001"}
    assert without[25] == {"track0000", "track0002"}


@pytest.mark.parametrize("colour", [BLUE, RED])
def test_who_looks_otherwise_or_like_somebody_who_is_there_is_somebody_new(colour, tmp_path):
    images, found = clip(tmp_path, colour)
    assert tracks(tmp_path, images, found, made_people.colours_file(tmp_path / "net"))[25] == {"track0000", "track0002"}


def test_an_embedder_that_cannot_be_had_is_told_before_anything_is_written(tmp_path):
    images, found = clip(tmp_path, GREEN)
    with pytest.raises(WeightsError, match="there is no such file"):
        tracks(tmp_path, images, found, tmp_path / "none.onnx")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"reentry\.embedder: no embedder is called 'osnet'.*osnet_x0_25_msmt17"):
        structure(Policy, {"reentry": {"embedder": "osnet"}})


@pytest.mark.parametrize("again", [False, True])
def test_a_frame_that_is_damaged_is_left_out_and_stops_nothing(again, tmp_path):
    images, found = clip(tmp_path, GREEN)
    shard = min(images.rglob("*.tar"))
    data = bytearray(shard.read_bytes())
    place = data.find(b"IDAT") + 20  # of the first frame
    data[place : place + 4] = bytes(value ^ 255 for value in data[place : place + 4])
    shard.write_bytes(data)
    embedder = made_people.colours_file(tmp_path / "net")
    reentry = Reentry(embedder=str(embedder), similar=SIMILAR, apart=APART, pictures=FRAMES) if again else None
    made = made_private.anonymized(images, tmp_path / "out", methods=Methods(finds=(found,)), reentry=reentry)
    assert made_private.left_out(made)["s0"] == "it cannot be read"
    assert len(made.dataset)
