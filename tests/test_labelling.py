# SPDX-License-Identifier: Apache-2.0
"""Images with what was found in them as a data set: the finds' people and layers, the images' bytes and all else."""

from __future__ import annotations

import fsspec
import light_components
import made_sets
import numpy as np
import pytest
from bright_people import SEEING, files, picture, seeing, session, video, written
from typer.testing import CliRunner

from synthkit import bodies, detection, jobs, pipeline
from synthkit.bodies.cutting import cut
from synthkit.camera import FisheyeCamera
from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter, formats
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.sidecars import SIDECAR_OF
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.merge import merge
from synthkit.dataset.tools.stats import stats
from synthkit.errors import DatasetError
from synthkit.execution import Local
from synthkit.found import Found, is_of_images
from synthkit.interfaces import ComponentSpec
from synthkit.lineage import drawing
from synthkit.lineage.tracing import trace
from synthkit.plugins import Origin
from synthkit.sample import Person, Sample, Sidecar

pytestmark = pytest.mark.usefixtures("seeing_installed")


def labelled_photo(n):
    """A sample that somebody labelled otherwise than the detector will."""
    instances = np.zeros((16, 24), np.uint8)
    instances[10:, 20:] = 1
    return Sample(
        key=f"s{n}",
        image=picture(n),
        people=[Person(1, box_xyxy_px=(20, 10, 24, 16), identity="somebody")],
        layers={"instances": instances, "depth_m": np.ones((16, 24), np.float32)},
        camera=FisheyeCamera.equidistant(24, 16),
        sequence="hall",
        frame=n,
        time_s=n / 10,
        meta={"licence": "CC0-1.0", "split": "test"},
    )


def test_what_was_found_takes_the_place_of_what_was_known_of_people(tmp_path):
    samples = [labelled_photo(n) for n in range(5)]
    data = Dataset.open(made_sets.written(tmp_path / "set", samples, CodecConfig(image_format="jpg")))
    detection.detect(session(), seeing(masks=True), data.location, tmp_path / "found")
    made = formats.convert(tmp_path / "found", tmp_path / "labelled")
    assert not is_of_images(made)
    found = Found.open(tmp_path / "found")
    assert [len(sample.people) for sample in made] == [0, 1, 2, 0, 1]
    for n, (sample, expected) in enumerate(zip(made, found, strict=True)):
        assert made.members(n)[1]["jpg"] == data.members(n)[1]["jpg"]
        assert sample.people == expected.people
        assert sample.layers.keys() == {"instances"}
        assert np.array_equal(sample.layers["instances"], expected.layers["instances"])
        for name in ("key", "camera", "sequence", "frame", "time_s", "meta"):
            assert getattr(sample, name) == getattr(data[n], name), name
    assert stats(made.location).to_plain()["people"] == 4


def test_photos_keep_their_bytes_and_frames_of_videos_their_pixels(tmp_path):
    photos, place = tmp_path / "photos", video(tmp_path / "hall.avi", 3)
    formats.export(written(tmp_path / "set", [Sample(key="a", image=picture(2))]).location, photos, "images")
    for source, name in ((photos, "photos"), (place, "hall")):
        detection.detect(session(), SEEING, source, tmp_path / f"{name}-found")
        formats.convert(tmp_path / f"{name}-found", tmp_path / f"{name}-labelled")
    labelled = Dataset.open(tmp_path / "photos-labelled")
    assert labelled.members(0)[1]["png"] == next(photos.glob("*.png")).read_bytes()
    frames = [formats.find(place).open(place).sample(n).image for n in range(3)]
    clip = Dataset.open(tmp_path / "hall-labelled")
    assert all(np.array_equal(sample.image, frame) for sample, frame in zip(clip, frames, strict=True))
    assert [(sample.sequence, sample.frame) for sample in clip] == [("hall", 0), ("hall", 1), ("hall", 2)]


def test_what_could_not_be_looked_at_is_a_hole_with_its_reason(images, tmp_path):
    detection.detect(session(), seeing(fault="raises", at="s1"), images.location, tmp_path / "found")
    made = formats.convert(tmp_path / "found", tmp_path / "labelled")
    assert list(made.keys()) == ["s0", "s2", "s3", "s4"]
    assert dict(made.skipped) == dict(Dataset.open(tmp_path / "found").skipped)
    assert made.skipped[1] == ("s5", "too dark")
    command = CliRunner().invoke(app, ["convert", str(tmp_path / "found"), str(tmp_path / "labelled")])
    assert (command.exit_code, "2 samples were skipped" in command.output) == (1, True)


def test_an_image_that_was_damaged_since_is_a_hole(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    tar = images.path / "shards" / "000000.tar"
    data, image = bytearray(tar.read_bytes()), images.members(1)[1]["png"]
    data[data.index(image) + len(image) // 2] ^= 255
    tar.write_bytes(data)
    made = formats.convert(tmp_path / "found", tmp_path / "labelled")
    assert made.skipped[0] == ("s1", "it cannot be read: the images or the finds are damaged there")
    assert list(made.keys()) == ["s0", "s2", "s3", "s4"]


def test_bytes_are_the_same_whatever_the_workers_and_interruptions(images, tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "_SCENES_PER_SHARD", 2)
    detection.detect(session(), seeing(masks=True), images.location, tmp_path / "found")
    formats.convert(tmp_path / "found", tmp_path / "one")

    def stop(verb, done, total):
        if done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        formats.convert(tmp_path / "found", tmp_path / "two", progress=stop)
    with pytest.raises(DatasetError, match=r"is not finished \(1 of 3 shards\)"):
        Dataset.open(tmp_path / "two")
    formats.convert(tmp_path / "found", tmp_path / "two", executor=Local(2))
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert {name: data for name, data in one.items() if name.endswith(".tar")} == {
        name: data for name, data in two.items() if name.endswith(".tar")
    }
    assert len([name for name in one if name.endswith(".tar")]) == 3


def test_options_about_images_are_refused_at_once(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    given = ["--format", "images", "--max-size", "64", "--every", "2", "--person-class", "man"]
    made = CliRunner().invoke(app, ["convert", str(tmp_path / "found"), str(tmp_path / "labelled"), *given])
    assert str(made.exception).endswith("omit --format, --max-size, --every, --person-class")
    with pytest.raises(DatasetError, match=r"omit --every$"):
        formats.convert(tmp_path / "found", tmp_path / "labelled", every=2)
    with pytest.raises(DatasetError, match="is in the data set"):
        formats.convert(tmp_path / "found", tmp_path / "found" / "labelled")
    assert not (tmp_path / "labelled").exists()


def test_images_that_have_changed_are_told(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    written(images.path, [*images, Sample(key="s5", image=picture(0)), Sample(key="s6", image=picture(1))])
    with pytest.raises(DatasetError, match="its sidecars are of other samples"):
        formats.convert(tmp_path / "found", tmp_path / "labelled")


def test_a_set_of_images_that_change_meanwhile_is_not_finished(tmp_path):
    place = video(tmp_path / "hall.avi", 2)
    detection.detect(session(), SEEING, place, tmp_path / "found")

    def exchange(verb, done, total):
        if done == total:
            video(place, 3)

    with pytest.raises(DatasetError, match=r"hall\.avi: was changed while it was being read"):
        formats.convert(tmp_path / "found", tmp_path / "labelled", progress=exchange)
    with pytest.raises(DatasetError, match="is not finished"):
        Dataset.open(tmp_path / "labelled")


def test_finds_at_a_url_become_a_set_at_a_url(images, tmp_path):
    memory = fsspec.filesystem("memory")
    try:
        for path, data in files(images.path).items():
            memory.pipe_file(f"/sets/images/{path}", data)
        detection.detect(session(), SEEING, "memory://sets/images", "memory://sets/found")
        made = formats.convert("memory://sets/found", "memory://sets/labelled")
        detection.detect(session(), SEEING, images.location, tmp_path / "found")
        assert made.fingerprint == formats.convert(tmp_path / "found", tmp_path / "labelled").fingerprint
    finally:
        memory.rm("/sets", recursive=True)


def test_it_is_known_where_labels_come_from(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    made = formats.convert(tmp_path / "found", tmp_path / "labelled")
    traced = trace(made.path)
    assert {one.place for one in traced.found.values()} == {images.path, tmp_path / "found"}
    lines = list(drawing.tree(traced))
    assert "detector seeing" in lines[0]
    assert not [line for line in lines if "not found" in line]


def test_a_detector_learns_from_it_and_it_is_merged(tmp_path, monkeypatch):
    images = written(tmp_path / "set", [Sample(key=f"s{n}", image=picture(n)) for n in (1, 2, 4)])
    detection.detect(session(), seeing(masks=True), images.location, tmp_path / "found")
    made = formats.convert(tmp_path / "found", tmp_path / "labelled")
    known = session()
    known.registry.add(light_components, Origin("light", "1.0", "light"))
    monkeypatch.setattr(jobs, "discover", lambda: known.registry)
    blobs = ComponentSpec("detector", "light-blobs", {})
    card = pipeline.train(known, blobs, [made.location], tmp_path / "trained").card
    assert card["data"]["train"]["fingerprint"] == made.fingerprint
    both = merge([made.location, images.location], tmp_path / "both", rename=True)
    assert sum(len(sample.people or ()) for sample in both) == 4


def test_people_whose_surfaces_were_found_are_cut_out(tmp_path):
    data = Dataset.open(made_sets.written(tmp_path / "set", [Sample(key="a", image=np.zeros((300, 400, 3), np.uint8))]))
    instances = np.zeros((300, 400), np.uint8)
    instances[90:210, 100:140] = 1
    surface = np.where(instances > 0, np.arange(1, 301, dtype=np.uint16)[:, None], 0).astype(np.uint16)
    side = Sidecar(key="a", people=[Person(instance=1)], layers={"instances": instances, "surface": surface})
    notes = {SIDECAR_OF: {"path": "../set", "fingerprint": data.fingerprint}}
    with DatasetWriter(tmp_path / "found", identity={}, notes=notes, scenes=1) as writer:
        writer.spool.put(0, [side])
        writer.finished(0)
        writer.finalise()
    made = formats.convert(tmp_path / "found", tmp_path / "labelled")
    assert np.array_equal(made[0].layers["surface"], surface)
    (crop,) = bodies.reading.BodyCrops(cut(made.location, tmp_path / "crops"))
    assert crop.person.sum() > 4000
    assert crop.surface[crop.person].min() > 90
