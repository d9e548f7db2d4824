# SPDX-License-Identifier: Apache-2.0
"""Videos: every frame once, with its place and time; files that are none, or name others, refused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import written

from synthkit.dataset import formats
from synthkit.dataset.formats.video import VideoSource
from synthkit.errors import DatasetError
from synthkit.execution import Local
from synthkit.sample import Person, Sample

WIDTH, HEIGHT, BITS = 64, 48, 8


def frame(number: int):
    """Return a picture that says its number in stripes, as encoders leave them."""
    image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            image[:, bit * 8 : bit * 8 + 8] = 235
    return image


def number_of(image) -> int:
    return sum(1 << bit for bit in range(BITS) if image[8:40, bit * 8 + 2 : bit * 8 + 6].mean() > 128)


def make(path: Path, frames=12, rate=10.0, codec="mp4v"):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (WIDTH, HEIGHT))
    for n in range(frames):
        writer.write(frame(n))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "codec"), [("Hall 1.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "FFV1")])
def test_every_frame_once_with_its_time(tmp_path, name, codec):
    source = make(tmp_path / name, frames=30, rate=12.5, codec=codec)
    data = formats.convert(source, tmp_path / "out")
    assert [number_of(sample.image) for sample in data] == list(range(30))
    assert [sample.frame for sample in data] == list(range(30))
    assert [sample.time_s for sample in data] == pytest.approx([n / 12.5 for n in range(30)], abs=1e-3)
    stem = source.stem.replace(" ", "_")
    assert data[7].key == f"{stem}_000007"
    assert {sample.sequence for sample in data} == {stem}
    assert data[0].people is None
    assert data[0].meta["source"] == {"format": "video", "file": name, "size_px": [WIDTH, HEIGHT]}


def test_colours_are_not_exchanged(tmp_path):
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 2] = 255
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"FFV1"), 5, (WIDTH, HEIGHT))
    writer.write(red)
    writer.release()
    assert VideoSource(tmp_path / "a.avi").sample(0).image[0, 0].tolist() == [255, 0, 0]


def test_every_so_many_image_files_are_taken_over(tmp_path):
    for n in range(5):
        cv2.imwrite(str(tmp_path / f"{n}.png"), frame(n))
    formats.export(tmp_path, tmp_path / "made", "images", every=2)
    made = {path.name: path.read_bytes() for path in (tmp_path / "made").glob("*.png")}
    assert made == {f"{n}.png": (tmp_path / f"{n}.png").read_bytes() for n in (0, 2, 4)}
    with pytest.raises(DatasetError, match="every 0 samples"):
        formats.convert(tmp_path, tmp_path / "data", every=0)


@pytest.mark.parametrize("every", [1, 3, 5, 40])
def test_every_so_many_frames(tmp_path, every):
    wanted = list(range(0, 12, every))
    samples = list(formats.convert(make(tmp_path / "a.mp4", frames=12), tmp_path / "out", every=every))
    assert [number_of(sample.image) for sample in samples] == wanted
    assert [sample.frame for sample in samples] == wanted
    assert [sample.time_s for sample in samples] == pytest.approx([n / 10 for n in wanted])


def test_frames_are_the_same_in_any_order(tmp_path):
    source = VideoSource(make(tmp_path / "a.mp4"))
    forwards = [source.sample(n).image.tobytes() for n in range(12)]
    assert [source.sample(n).image.tobytes() for n in reversed(range(12))] == forwards[::-1]
    with pytest.raises(DatasetError, match="frame 12 cannot be decoded"):
        source.sample(12)


def test_workers_and_repeats_give_the_same_bytes(tmp_path):
    source = make(tmp_path / "a.mp4", frames=20)
    here = formats.convert(source, tmp_path / "here")
    formats.convert(source, tmp_path / "there", executor=Local(2))
    formats.export(source, tmp_path / "one", "video")
    formats.export(source, tmp_path / "two", "video")
    assert here.fingerprint == type(here).open(tmp_path / "there").fingerprint
    assert (tmp_path / "one/a.mp4").read_bytes() == (tmp_path / "two/a.mp4").read_bytes()


@settings(max_examples=8, deadline=None)
@given(
    clips=st.dictionaries(st.sampled_from(["hall", "yard", "roof"]), st.integers(1, 12), min_size=1),
    rate=st.sampled_from([5.0, 12.5, 25.0, 30.0]),
)
def test_frames_order_and_times_come_back(clips, rate):
    with TemporaryDirectory() as folder:
        root = Path(folder)
        samples = [
            Sample(key=f"{name}_{n}", image=frame(n), sequence=name, frame=n, time_s=n / rate, people=None)
            for name, count in clips.items()
            for n in range(count)
        ]
        formats.export(written(root / "set", samples), root / "made", "video")
        assert sorted(path.stem for path in (root / "made").glob("*.mp4")) == sorted(clips)
        for name, count in clips.items():
            source = VideoSource(root / "made" / f"{name}.mp4")
            back = [source.sample(n) for n in range(len(source))]
            assert [number_of(sample.image) for sample in back] == list(range(count))
            expected = [n / (rate if count > 1 else 25.0) for n in range(count)]
            assert [sample.time_s for sample in back] == pytest.approx(expected, abs=1e-3)


def shuffled(names, count):
    """Return the samples of clips in any order: a frame's number is its picture's."""
    samples = [
        Sample(key=f"{place}_{n}", image=frame(n), sequence=name, frame=n, time_s=n / 10, people=None)
        for place, name in enumerate(names)
        for n in range(count)
    ]
    order = np.random.default_rng(3).permutation(len(samples))
    return [samples[place] for place in order]


def numbers_in(path):
    source = VideoSource(path)
    return [number_of(source.sample(n).image) for n in range(len(source))]


def test_shuffled_frames_of_several_clips_are_put_in_order(tmp_path):
    made = formats.export(written(tmp_path / "set", shuffled(["hall", "yard", None], 9)), tmp_path / "made", "video")
    assert sorted(path.name for path in made.path.glob("*.mp4")) == ["hall.mp4", "images.mp4", "yard.mp4"]
    for path in made.path.glob("*.mp4"):
        assert numbers_in(path) == list(range(9))
        assert VideoSource(path).sample(8).time_s == pytest.approx(0.8, abs=1e-3)
    assert made.remarks == ()


def test_frames_are_ordered_by_time_where_they_have_no_numbers(tmp_path):
    samples = [attrs.evolve(sample, frame=None) for sample in shuffled(["hall"], 9)]
    formats.export(written(tmp_path / "set", samples), tmp_path / "made", "video")
    assert numbers_in(tmp_path / "made" / "hall.mp4") == list(range(9))


def test_frames_of_no_order_stay_as_they_are_and_it_is_told(tmp_path):
    samples = [attrs.evolve(sample, frame=1, time_s=None) for sample in shuffled(["hall"], 5)]
    made = formats.export(written(tmp_path / "set", samples), tmp_path / "made", "video")
    assert numbers_in(tmp_path / "made" / "hall.mp4") == [number_of(sample.image) for sample in samples]
    assert "hall: which frame comes when is not known of all images, they are in the set's order" in made.remarks


def test_sequences_whose_names_make_one_file_stay_apart(tmp_path):
    data = written(tmp_path / "set", shuffled(["hall/1", "hall 1", "images", None], 4))
    formats.export(data, tmp_path / "made", "video")
    videos = sorted((tmp_path / "made").glob("*.mp4"))
    assert [path.stem for path in videos] == ["hall_1", "hall_1_2", "images", "images_2"]
    assert all(numbers_in(path) == list(range(4)) for path in videos)
    for to in ("cepdof", "habbof"):
        formats.export(data, tmp_path / to, to)
        source = formats.FORMATS[to].open(tmp_path / to)
        known = {source.sample(n).sequence for n in range(len(source))}
        assert known == {"hall_1", "hall_1_2", "images_2", None}


def test_a_folder_of_videos_is_a_set_of_sequences(tmp_path):
    made = formats.export(written(tmp_path / "set", shuffled(["hall", "yard"], 9)), tmp_path / "made", "video")
    make(made.path / "night" / "hall.mp4", frames=3)
    (made.path / "readme.ts").write_text("export const video = 'not one'")
    told = []
    data = formats.convert(made.path, tmp_path / "out", tell=told.append)
    assert told == [f"{made.path}: video ({formats.FORMATS['video'].summary})"]
    found = [(sample.sequence, sample.frame, number_of(sample.image)) for sample in data]
    assert found == [
        (name, n, n) for name, count in (("hall", 9), ("night_hall", 3), ("yard", 9)) for n in range(count)
    ]
    assert data.manifest.notes["folder"] == "made"
    for options in ({"executor": Local(2)}, {"every": 4, "max_size_px": 32}):
        name = "-".join(options)
        formats.convert(made.path, tmp_path / name, **options)
    assert formats.convert(made.path, tmp_path / "workers").fingerprint == data.fingerprint
    source = formats.find(made.path).open(made.path)
    backwards = [number_of(source.sample(n).image) for n in reversed(range(len(source)))]
    assert backwards[::-1] == [number for _, _, number in found]


def test_damaged_videos_of_a_folder_are_told_at_once(tmp_path):
    for name in "abc":
        path = make(tmp_path / "set" / f"{name}.mp4")
        path.write_bytes(path.read_bytes()[: 500 if name != "b" else None])
    with pytest.raises(DatasetError, match=r"2 problems:(.|\n)*a\.mp4: cannot be opened(.|\n)*c\.mp4: cannot be"):
        formats.convert(tmp_path / "set", tmp_path / "out")


def test_a_folder_of_images_with_a_video_in_it_stays_images(tmp_path):
    make(tmp_path / "set" / "a.mp4")
    cv2.imwrite(str(tmp_path / "set" / "b.png"), frame(1))
    assert formats.find(tmp_path / "set").name == "images"


def test_what_a_video_cannot_hold_is_told(tmp_path):
    times = [0.0, 0.1, 0.9]
    samples = [Sample(key=f"a{n}", image=frame(n), sequence="a", time_s=t, people=[Person()])
               for n, t in enumerate(times)]  # fmt: skip
    made = formats.export(written(tmp_path / "set", samples), tmp_path / "made", "video")
    assert any("uneven" in line for line in made.remarks)
    assert any("people (3)" in line for line in made.remarks)


def test_images_of_other_sizes_are_refused_all_at_once(tmp_path):
    sizes = [(48, 64), (48, 60), (40, 64)]
    samples = [Sample(key=f"a{n}", image=np.zeros((*size, 3), np.uint8)) for n, size in enumerate(sizes)]
    with pytest.raises(DatasetError, match=r"2 problems:(.|\n)*a1 has 60x48 pixels, its video 64x48(.|\n)*a2"):
        formats.export(written(tmp_path / "set", samples), tmp_path / "made", "video")
    assert not (tmp_path / "made").exists()


def test_a_cut_off_video_is_told(tmp_path):
    whole = make(tmp_path / "whole.avi", frames=40, codec="MJPG")
    data = whole.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: len(data) // 2])
    told = []
    made = formats.convert(cut, tmp_path / "out", tell=told.append)
    assert 5 < len(made) < 40
    assert any(f"{len(made)} frames can be decoded, the file states 40" in line for line in told)


STRANGE = {
    "playlist": b"#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    "list to join": b"ffconcat version 1.0\nfile other.mp4\n",
    "nothing": b"",
    "text": b"hello",
    "image": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE.keys())
def test_files_that_are_no_videos(tmp_path, content):
    make(tmp_path / "other.mp4")
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DatasetError, match="no file of a known format"):
        formats.convert(tmp_path / "a.mp4", tmp_path / "out")
    with pytest.raises(DatasetError, match="does not begin like a video"):
        formats.convert(tmp_path / "a.mp4", tmp_path / "out", form="video")
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_told_from_what_is_no_video(tmp_path):
    (tmp_path / "text.txt").write_text("hello")
    for path, message in ((tmp_path / "none.mp4", "is missing"), (tmp_path, "has no video; expected mp4")):
        with pytest.raises(DatasetError, match=message):
            VideoSource(path)


def test_a_damaged_video(tmp_path):
    data = make(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match=r"b\.mp4: cannot be opened as a video"):
        formats.convert(tmp_path / "b.mp4", tmp_path / "out")


def test_names_that_look_like_protocols_are_files(tmp_path, monkeypatch):
    make(tmp_path / "other.mp4")
    (tmp_path / "concat:other.mp4").write_bytes((tmp_path / "other.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(VideoSource(Path("concat:other.mp4"))) == 12
