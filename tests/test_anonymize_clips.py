# SPDX-License-Identifier: Apache-2.0
"""People in clips: who is who, gaps that are filled, and videos that come out as long as they went in."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from synthkit import assignment, inputs
from synthkit.anonymization import clips, run
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.run import Methods
from synthkit.anonymization.tracking import linked
from synthkit.assignment import cheapest_pairs, possible_pairs
from synthkit.dataset import DatasetWriter
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Person, Sample, Sidecar, evolve
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

pytestmark = pytest.mark.usefixtures("sloppy_installed")


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (5, 5), (3, 7), (7, 3), (20, 25)])
def test_pairs_are_as_cheap_as_scipys(shape):
    for n in range(20):
        costs = Seeds(n).stream("costs").random(shape)
        if n % 2:
            costs = costs.round(1)  # ties
        pairs = cheapest_pairs(costs)
        assert len(pairs) == min(shape)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
        rows, columns = linear_sum_assignment(costs)
        assert sum(costs[pair] for pair in pairs) == pytest.approx(costs[rows, columns].sum())


def test_pairs_that_cannot_be_are_none_and_beyond_a_number_the_cheapest_come_first(monkeypatch):
    costs = np.array([[-5.0, -4.0, 0.0], [-4.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert possible_pairs(costs, costs < 0) == [(0, 1), (1, 0)]
    assert possible_pairs(costs, costs < -9) == []
    monkeypatch.setattr(assignment, "_MOST_EXACT", 1)
    assert possible_pairs(costs, costs < 0) == [(0, 0)]


def box(x, y, w=20, h=50):
    return [x, y, x + w, y + h]


def walk(frames):
    """Two people who walk past each other, at different heights of the image."""
    return [np.array([box(10 + 4 * n, 20), box(200 - 4 * n, 60)], float) for n in range(frames)]


def test_people_keep_their_identity_while_they_pass_each_other():
    tracks, owners = linked(walk(40), gap_frames=3)
    assert len(tracks) == 2
    assert all(owner == [0, 1] for owner in owners)


def test_the_order_of_finds_decides_nothing_about_who_is_who():
    turned = [frame[::-1] if n % 2 else frame for n, frame in enumerate(walk(40))]
    tracks, owners = linked(turned, gap_frames=3)
    assert len(tracks) == 2
    assert owners == [[1, 0] if n % 2 else [0, 1] for n in range(40)]


@pytest.mark.parametrize("gap", [1, 5, 9])
def test_gaps_are_filled_along_the_way(gap):
    frames = walk(40)
    for n in range(15, 15 + gap):
        frames[n] = frames[n][1:]  # the first one is not found
    tracks, _ = linked(frames, gap_frames=9)
    assert len(tracks) == 2
    filled = tracks[0].filled(0)
    assert sorted(filled) == list(range(15, 15 + gap))
    assert all(np.allclose(filled[n], box(10 + 4 * n, 20)) for n in filled)


def test_after_a_longer_gap_somebody_is_somebody_else():
    frames = walk(40)
    for n in range(15, 25):
        frames[n] = frames[n][1:]
    tracks, _ = linked(frames, gap_frames=9)
    assert [len(track.boxes) for track in tracks] == [15, 40, 15]


def test_people_go_on_for_a_while_before_and_after_they_are_found():
    frames = [np.zeros((0, 4))] * 6 + walk(10)
    tracks, _ = linked(frames, gap_frames=3)
    filled = tracks[0].filled(3)
    assert sorted(filled) == [3, 4, 5, 16, 17, 18]
    assert np.allclose(filled[3], box(10 - 12, 20))
    assert np.allclose(filled[18], box(10 + 4 * 12, 20))
    assert min(tracks[0].filled(50)) == 0


def test_pauses_in_a_clip_are_bridged_like_gaps_but_no_longer():
    policy = Policy(gap_frames=3, edge_frames=1)
    assert clips._offsets([5, 6, 9, 10**9, 10**9 + 1], policy) == [0, 1, 4, 11, 12]


FRAMES, RATE_HZ, MISSED = 24, 12.5, (9, 10)


def place(n):
    """Return where somebody is in a frame: left, top, right, bottom."""
    return 8 + 4 * n, 30, 28 + 4 * n, 70


@pytest.fixture
def video(tmp_path):
    """A video of somebody bright who walks, and whom nobody can see in two frames; the last frame is of nobody."""
    writer = cv2.VideoWriter(
        str(tmp_path / "walk.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, (128, 96)
    )
    for n in range(FRAMES):
        image = np.full((96, 128, 3), 20, np.uint8)
        left, top, right, bottom = place(n)
        image[top:bottom, left:right] = 90 if n in MISSED else 220
        image[top + 10 : top + 14, left:right] = 60 if n in MISSED else 180  # a belt
        writer.write(image)
    writer.release()
    return tmp_path / "walk.avi"


def decoded(path):
    capture, frames, times = cv2.VideoCapture(str(path)), [], []
    while (read := capture.read())[0]:
        frames.append(read[1])
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return frames, times


def test_a_video_comes_out_as_long_as_it_was_with_gaps_blurred(video, tmp_path):
    session = Session(discover(), RunSettings(), Local(0))
    seeing = ComponentSpec("detector", "seeing", {"fault": "raises", "at": "walk_000015"})
    policy = Policy(edge_frames=2)
    made = run.anonymize(session, video, ComponentSpec("refiner", "sloppy"), tmp_path / "out",
                         Methods(detectors=[seeing]), policy)  # fmt: skip
    told = [json.loads(line) for line in made.audit.read_text().splitlines()]
    people = {line["key"]: line for line in told if "person" in line}
    assert {line["track"] for line in people.values()} == {"track0000"}
    for n in MISSED:
        line = people[f"walk_{n:06d}"]
        assert (line["treated"], line["doubt"]) == ("blurred", "found in other frames only")
        assert np.allclose(line["box_xyxy_px"], place(n), atol=3)
    assert {line["key"] for line in told if "reason" in line} == {"walk_000015"}
    assert made.dataset.by_key("walk_000003").people[0].identity == "track0000"

    before, times = decoded(video)
    after, new_times = decoded(made.files / "walk.mp4")
    assert len(after) == FRAMES
    assert np.allclose(new_times, times, atol=1e-3)
    assert abs(after[15].astype(int) - 118).max() < 8  # left out
    for n in (3, *MISSED, 20):
        left, top, right, bottom = place(n)
        window = slice(top + 4, bottom - 4), slice(left + 4, min(right, 128) - 4)
        belt = [np.abs(np.diff(frames[n][window].mean(axis=(1, 2)))).max() for frames in (before, after)]
        assert belt[1] < 0.5 * belt[0]


@pytest.mark.parametrize("told", [True, False])
def test_clips_are_clips_also_beside_images_that_are_none(told, tmp_path):
    """Where finds do not tell that an image is a frame, but it is, the image is left out."""
    image = Seeds(0).stream("image").integers(0, 255, (64, 64, 3), dtype=np.uint8)
    clips_of = [{}, *({"sequence": "clip", "frame": n} for n in range(3))]
    person = Person(instance=1, box_xyxy_px=(10, 10, 30, 50), attributes={"score": 0.9, "label": "person"})
    sides = [
        Sidecar(
            key=f"s{n}",
            people=[] if n == 2 else [person],
            meta={"size_px": [64, 64]},
            **(clip if told or n != 1 else {}),
        )
        for n, clip in enumerate(clips_of)
    ]
    sets = [[Sample(key=f"s{n}", image=image, **clip) for n, clip in enumerate(clips_of)], sides]
    for name, results in zip(("images", "found"), sets, strict=True):
        with DatasetWriter(tmp_path / name, identity={}, scenes=4) as writer:
            for scene, result in enumerate(results):
                writer.spool.put(scene, [result])
                writer.finished(scene)
            writer.finalise()
    session = Session(discover(), RunSettings(), Local(0))
    made = run.anonymize(session, tmp_path / "images", ComponentSpec("refiner", "sloppy"), tmp_path / "out",
                         Methods(finds=(tmp_path / "found",)), Policy(on_miss="pass"))  # fmt: skip
    lines = {line["key"]: line for line in map(json.loads, made.audit.read_text().splitlines())}
    assert lines["s0"]["treated"] == lines["s3"]["treated"] == "sloppy"
    assert lines["s2"]["treated"] == "blurred"
    assert lines["s1"].get("reason") == (None if told else "finds do not tell of which clip it is")


def frames_of(tmp_path, frames, people):
    """Write images of one clip, and finds of the same people in each of them."""
    image = Seeds(0).stream("image").integers(0, 255, (64, 64, 3), dtype=np.uint8)
    known = [{"key": f"s{n}", "sequence": "clip", "frame": frame} for n, frame in enumerate(frames)]
    sides = [Sidecar(**clip, people=people, meta={"size_px": [64, 64]}) for clip in known]
    for name, results in (("images", [Sample(**clip, image=image) for clip in known]), ("found", sides)):
        with DatasetWriter(tmp_path / name, identity={}, scenes=len(frames)) as writer:
            for scene, result in enumerate(results):
                writer.spool.put(scene, [result])
                writer.finished(scene)
            writer.finalise()
    session = Session(discover(), RunSettings(), Local(0))
    return run.anonymize(session, tmp_path / "images", ComponentSpec("refiner", "sloppy"), tmp_path / "out",
                         Methods(finds=(tmp_path / "found",)))  # fmt: skip


def test_cameras_whose_clips_are_called_alike_are_clips_of_their_own(tmp_path):
    person = Person(instance=1, box_xyxy_px=(10, 10, 30, 50), attributes={"score": 0.9})
    made = frames_of(tmp_path, (0, 0, 1, 1), [person])
    assert [sample.people[0].identity for sample in made.dataset] == ["track0000", "track0001"] * 2


def test_clips_of_whose_frames_nothing_is_known_are_left_out(tmp_path):
    made = frames_of(tmp_path, (0, 1), [Person(instance=1, attributes={"score": 0.9})])
    assert made.counts.images == {"left out": 2}


def test_scores_may_have_more_digits_than_there_are(tmp_path):
    made = frames_of(tmp_path, (0,), [Person(instance=1, box_xyxy_px=(10, 10, 30, 50), attributes={"score": 10**400})])
    assert made.counts.people == {"sloppy": 1}


def test_videos_stay_apart_where_their_names_are_dropped(tmp_path):
    (tmp_path / "clips").mkdir()
    for name, side in (("ann", 64), ("ben", 96)):
        path = str(tmp_path / "clips" / f"{name}.avi")
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, (side, side))
        for left in (8, 12):
            image = np.full((side, side, 3), 20, np.uint8)
            image[20:50, left : left + 20] = 220
            writer.write(image)
        writer.release()
    methods = Methods(detectors=[ComponentSpec("detector", "seeing")])
    session = Session(discover(), RunSettings(), Local(0))
    made = run.anonymize(session, tmp_path / "clips", ComponentSpec("refiner", "sloppy"), tmp_path / "out", methods,
                         Policy(names="number"))  # fmt: skip
    assert sorted(path.name for path in made.files.glob("*.mp4")) == ["000000.mp4", "000001.mp4"]
    assert [decoded(made.files / f"00000{n}.mp4")[0][1].shape[0] for n in (0, 1)] == [64, 96]


def test_what_is_found_in_a_frame_later_is_known_in_the_frames_around_it(video, tmp_path, monkeypatch):
    """A detector fails in the only frame in which somebody can be seen, and looks at it when it is run again."""
    import seeing

    right = seeing.Seeing.right

    def only_in_one(self, sample):
        return right(self, sample if sample.frame == 15 else evolve(sample, image=np.zeros_like(sample.image)))

    def anonymized(out):
        session = Session(discover(), RunSettings(), Local(0))
        methods = Methods(detectors=[ComponentSpec("detector", "seeing", {"fault": "raises", "at": "walk_000015"})])
        return run.anonymize(session, video, ComponentSpec("refiner", "sloppy"), out, methods, Policy(on_miss="pass"))

    monkeypatch.setattr(seeing.Seeing, "right", only_in_one)
    assert anonymized(tmp_path / "out").counts.people == {}
    assert (tmp_path / "out/video").is_dir()
    monkeypatch.setattr(seeing.Seeing, "wrong", lambda self, sample: iter([self.right(sample)]))
    with monkeypatch.context() as patch:
        patch.setattr(run.files, "write", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            anonymized(tmp_path / "out")
    assert not (tmp_path / "out/video").exists(), "it shows somebody who is known by now"
    again = anonymized(tmp_path / "out")
    assert again.counts.people == {"blurred": 10, "sloppy": 1}
    assert again.dataset.fingerprint == anonymized(tmp_path / "clean").dataset.fingerprint


@pytest.mark.parametrize("size", [None, "large", [64], [64, -1], [64.0, 64], [1_000_000, 1_000_000]])
def test_finds_that_tell_no_size_are_not_linked(size, tmp_path):
    meta = {} if size is None else {"size_px": size}
    with DatasetWriter(tmp_path / "found", identity={}, scenes=1) as writer:
        writer.spool.put(0, [Sidecar(key="a", people=(), meta=meta, sequence="clip", frame=0)])
        writer.finished(0)
        writer.finalise()
    look = {"path": str(tmp_path / "found"), "believed": 0.5}
    assert clips.tracked(inputs.open_images(tmp_path / "found"), {"one": look}, tmp_path, Policy()) is None


ASSETS = Path(__file__).parents[2] / "shared" / "assets"
YOLOX = """
classes = ["person"]
score_threshold = 0.3
nms_iou = 0.45
input = { name = "images", size_px = [416, 416], colour = "BGR", fit = "corner", grey = 114 }
output.yolo = { rows = "output", strides = [8, 16, 32] }
"""


@pytest.mark.assets
@pytest.mark.skipif(not (ASSETS / "video/vtest.avi").is_file(), reason="needs ../shared/assets")
def test_walkers_are_covered_in_every_frame_of_their_tracks(tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    (tmp_path / "yolox.toml").write_text(YOLOX)
    capture, frames = cv2.VideoCapture(str(ASSETS / "video/vtest.avi")), 10
    writer = cv2.VideoWriter(
        str(tmp_path / "street.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, (768, 576)
    )
    for _ in range(frames):
        writer.write(capture.read()[1])
    writer.release()
    model, card = ASSETS / "weights/yolox_nano.onnx", tmp_path / "yolox.toml"
    detector = ComponentSpec("detector", "onnx", {"model": str(model), "card": str(card)})
    made = run.anonymize(
        Session(discover(), RunSettings(), Local(0)), tmp_path / "street.avi",
        ComponentSpec("refiner", "anonymizer-mask"), tmp_path / "out", Methods(detectors=[detector]),
    )  # fmt: skip
    people = [json.loads(line) for line in made.audit.read_text().splitlines()]
    tracks: dict[str, list[int]] = {}
    for line in people:
        tracks.setdefault(line["track"], []).append(int(line["key"][-6:]))
        left, top, right, bottom = (round(value) for value in line["box_xyxy_px"])
        window = made.dataset.by_key(line["key"]).image[top:bottom, left:right]
        if line["treated"] == "anonymizer-mask":
            assert (window == 118).all()
    assert sum(len(seen) == frames for seen in tracks.values()) >= 3
    assert all(sorted(seen) == list(range(min(seen), max(seen) + 1)) for seen in tracks.values())
