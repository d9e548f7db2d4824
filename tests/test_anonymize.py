# SPDX-License-Identifier: Apache-2.0
"""Anonymizing folders and data sets: who is treated how, what is left out, and that nothing of an original passes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from synthkit.anonymization import run
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.run import Methods
from synthkit.cli.app import app
from synthkit.dataset import DatasetWriter
from synthkit.dataset.verify import verify
from synthkit.errors import ConfigError, DatasetError, PluginError, SynthkitError
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Person, Sample, Sidecar
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

JOBS = Path(__file__).parent / "jobs"
RUN = RunSettings(scenes_per_shard=2)
SIZE = 64
BOXES = ((6, 8, 22, 40), (36, 20, 54, 60))
COVER = 7  # of the refiner ``sloppy``
SECRET = b"ANN-OTHER"


@pytest.fixture(autouse=True)
def _installed(tmp_path_factory, monkeypatch):
    """Install a detector and refiners that go wrong on wish, for worker processes too."""
    for name in ("seeing", "sloppy"):
        info = tmp_path_factory.mktemp("plugins") / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[synthkit.v1]\n{name} = {name}\n")
        monkeypatch.syspath_prepend(info.parent)
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "seeing,sloppy")
    monkeypatch.syspath_prepend(JOBS)


def session(executor=None):
    return Session(discover(), RUN, executor or Local(0))


def sloppy(fault="", **options):
    return ComponentSpec("refiner", "sloppy", {"fault": fault, **options})


def seeing(**options):
    return ComponentSpec("detector", "seeing", options)


def picture(n, people=2):
    """A dark image with detailed, bright people."""
    stream = Seeds(n).stream("picture")
    image = stream.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
    for left, top, right, bottom in BOXES[:people]:
        image[top:bottom, left:right] = stream.integers(110, 255, (bottom - top, right - left, 3), dtype=np.uint8)
    return image


def masks(people=2):
    layer = np.zeros((SIZE, SIZE), np.uint8)
    for number, (left, top, right, bottom) in enumerate(BOXES[:people], 1):
        layer[top:bottom, left:right] = number
    return layer


def labelled(n, **changes):
    """A sample with its truth, in which names and places stand wherever they can."""
    people = [
        Person(instance=k, identity=SECRET.decode(), box_xyxy_px=box, attributes={"name": SECRET.decode()})
        for k, box in enumerate(BOXES, 1)
    ]
    values = {
        "image": picture(n),
        "people": people,
        "layers": {"instances": masks(), "light": picture(n).astype(np.float32)},
        "meta": {"source": {"file": f"/home/{SECRET.decode()}/{n}.jpg"}},
    }
    return Sample(key=f"s{n}", **{**values, **changes})


def written(out, results):
    with DatasetWriter(out, identity={}, scenes=len(results), scenes_per_shard=4) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return out


@pytest.fixture
def labels(tmp_path):
    return written(tmp_path / "labelled", [labelled(n) for n in range(3)])


def finds(tmp_path, name, found):
    """Write a set of sidecars: for each key boxes with scores, None for an image that nobody looked at."""
    sides = [
        Sidecar(
            key=key,
            people=[Person(instance=n, box_xyxy_px=box, attributes={"score": score, "label": "person"})
                    for n, (box, score) in enumerate(people, 1)],
        )
        for key, people in found.items() if people is not None
    ]  # fmt: skip
    return written(tmp_path / name, sides)


def unlabelled(tmp_path, count=1, people=2):
    samples = [Sample(key=f"s{n}", image=picture(n, people)) for n in range(count)]
    return written(tmp_path / "unlabelled", samples)


def anonymized(source, out, refiner=None, methods=None, executor=None, **policy):
    return run.anonymize(session(executor), source, refiner or sloppy(), out, methods, Policy(**policy))


def lines(made):
    return [json.loads(line) for line in made.audit.read_text().splitlines()]


def left_out(made):
    return {line["key"]: line["reason"] for line in lines(made) if "reason" in line}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def covered(image, boxes=BOXES):
    return all((image[top:bottom, left:right] == COVER).all() for left, top, right, bottom in boxes)


def shows(image, original):
    """Return whether an image shows detail of the original's people."""
    inside = cv2.erode((masks() > 0).astype(np.uint8), np.ones((9, 9))) > 0  # outlines may be seen
    fine = [i.astype(np.float32) - cv2.GaussianBlur(i.astype(np.float32), (0, 0), 1) for i in (image, original)]
    a, b = (part[inside].ravel() for part in fine)
    return a.std() > 0.1 and abs(np.corrcoef(a, b)[0, 1]) > 0.3


def test_everybody_of_the_labels_is_treated_and_accounted_for(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out")
    data = made.dataset
    assert [sample.key for sample in data] == ["s0", "s1", "s2"]
    assert all(covered(sample.image) for sample in data)
    assert all((sample.image[-3:] == picture(n)[-3:]).all() for n, sample in enumerate(data))
    assert not verify(tmp_path / "out" / "dataset").problems
    told = lines(made)
    assert [(line["key"], line["person"]) for line in told] == [(f"s{n}", k) for n in range(3) for k in (1, 2)]
    assert told[1] == {
        "key": "s0", "image": "treated", "person": 2, "found_by": {"truth": None}, "track": None,
        "box_xyxy_px": list(BOXES[1]),
        "pixels": 18 * 40, "treated": "sloppy", "extent": "body", "doubt": "", "detail_left": 0.0,
    }  # fmt: skip
    assert made.counts.people == {"sloppy": 6}
    page = made.summary.read_text()
    assert "people treated" in page
    assert "does not protect" in page


def test_nothing_but_pixels_and_places_of_people_is_handed_on(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out")
    sample = made.dataset[0]
    assert set(sample.layers) == {"instances"}
    assert (sample.layers["instances"] == masks()).all()
    assert [(p.instance, p.box_xyxy_px, p.identity, dict(p.attributes)) for p in sample.people] == [
        (k, box, None, {}) for k, box in enumerate(BOXES, 1)
    ]
    assert set(sample.meta) == {"anonymized"}
    leaving = b"".join(files(tmp_path / "out").values())
    assert SECRET not in leaving
    assert str(tmp_path).encode() not in leaving


def test_keys_become_numbers_and_identities_stay_when_asked(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out", names="number", identities=True)
    assert [sample.key for sample in made.dataset] == ["000000", "000001", "000002"]
    assert made.dataset[0].people[0].identity == SECRET.decode()


def jpeg(path, image):
    """Write a JPEG that tells its owner and place, with a thumbnail of itself, XMP and a comment."""
    exif = Image.Exif()
    exif[0x013B] = SECRET.decode()  # artist
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 24.0)
    exif.get_ifd(0x8825)[29] = SECRET.decode()
    thumbnail = io.BytesIO()
    Image.fromarray(image).save(thumbnail, "JPEG", quality=95)
    Image.fromarray(image).save(path, quality=95, exif=exif, comment=SECRET, xmp=b"<x:xmpmeta>" + SECRET + b"</x>")
    with path.open("ab") as file:  # as cameras add previews
        file.write(thumbnail.getvalue())


def png(path, image):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", SECRET.decode())
    notes.add_itxt("XML:com.adobe.xmp", SECRET.decode(), zip=False)
    Image.fromarray(image).save(path, pnginfo=notes)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    jpeg(folder / "a.jpg", picture(1))
    png(folder / "b.png", picture(2))
    assert all(SECRET in path.read_bytes() for path in folder.iterdir())
    return folder


def pictures_in(data):
    """Yield all PNG and JPEG images that begin anywhere in some bytes."""
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        place = data.find(start)
        while place >= 0:
            decoded = cv2.imdecode(np.frombuffer(data[place:], np.uint8), cv2.IMREAD_COLOR)
            if decoded is not None:
                yield cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
            place = data.find(start, place + 1)


def check_holds_no_original(*folders):
    for folder in folders:
        for name, data in files(folder).items():
            assert SECRET not in data, name
            assert all(picture(n)[20:22, 8:20].tobytes()[:24] not in data for n in range(1, 3)), name
            for image in pictures_in(data):
                originals = [picture(n) for n in (1, 2) if image.shape == picture(n).shape]
                assert not any(shows(image, original) for original in originals), name


def test_what_photos_tell_besides_pixels_is_not_handed_on(photos, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    methods = Methods(detectors=[seeing()])
    made = anonymized(photos, tmp_path / "out", methods=methods)
    names = sorted(path.name for path in made.files.iterdir())
    assert names == ["a.png", "b.png", "synthkit.json"]
    for name in names[:2]:
        with Image.open(made.files / name) as image:
            assert not image.info
            assert not image.getexif()
            assert covered(np.asarray(image))
    check_holds_no_original(tmp_path / "out", scratch, Path(os.environ["SYNTHKIT_CACHE"]))


CODE = """
import sys
from pathlib import Path
from typer.testing import CliRunner

from synthkit.anonymization import run
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.settings import RunSettings

refiner = ComponentSpec("refiner", "sloppy", {"notes": sys.argv[3], "pause_s": float(sys.argv[4])})
methods = run.Methods(detectors=[ComponentSpec("detector", "seeing")])
session = Session(discover(), RunSettings(scenes_per_shard=2), Local(1))
run.anonymize(session, sys.argv[1], refiner, Path(sys.argv[2]), methods)
"""


def test_a_run_that_is_killed_leaves_no_original_and_goes_on_to_the_same_bytes(photos, tmp_path):
    png(photos / "c.png", picture(1))
    notes = tmp_path / "notes"
    notes.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", CODE, str(photos), str(tmp_path / "killed"), str(notes), "1.0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 250
    while len(list(notes.iterdir())) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "audit.jsonl").exists()
    check_holds_no_original(tmp_path / "killed")
    methods = Methods(detectors=[seeing()])
    for name in ("killed", "calm"):
        anonymized(photos, tmp_path / name, methods=methods)
    assert files(tmp_path / "killed") == files(tmp_path / "calm")


def test_who_only_one_of_two_found_is_blurred(tmp_path):
    source = unlabelled(tmp_path)
    both = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9), (BOXES[1], 0.9)]})
    single = finds(tmp_path, "two", {"s0": [(BOXES[0], 0.8)]})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(both, single)))
    image = made.dataset[0].image
    assert covered(image, BOXES[:1])
    assert not shows(image, picture(0))
    assert not covered(image, BOXES[1:])
    told = {tuple(line["box_xyxy_px"][:1]): line for line in lines(made)}
    treated = [(line["treated"], line["found_by"], line["doubt"]) for _, line in sorted(told.items())]
    assert treated == [
        ("sloppy", {"one": 0.9, "two": 0.8}, ""),
        ("blurred", {"one": 0.9}, "found by one only, of one and two"),
    ]
    assert made.counts.doubts == {"found by one only, of one and two": 1}


def test_who_was_found_with_a_low_score_is_blurred_with_a_wider_margin(tmp_path):
    source = unlabelled(tmp_path)
    found = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9), (BOXES[1], 0.3)]})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(found,)), confident=0.5)
    image = made.dataset[0].image
    assert covered(image, BOXES[:1])
    left, top, right, bottom = BOXES[1]
    around = (image != picture(0)).any(axis=2)[top - 5 : bottom, left - 5 : right + 5]
    assert around.mean() > 0.97
    assert not shows(image, picture(0))
    assert lines(made)[1]["doubt"] == "found with low scores only"


def test_detectors_look_for_people_in_doubt_too(tmp_path):
    image = picture(0, people=0)
    image[8:40, 6:22] = 130  # seen with a score of 130 / 255
    source = written(tmp_path / "set", [Sample(key="s0", image=image)])
    made = anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]), confident=0.9)
    assert [line["treated"] for line in lines(made)] == ["blurred"]
    with pytest.raises(DatasetError, match="another policy"):
        anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]))


def test_labels_are_enough_alone_and_finds_add_to_them(tmp_path):
    source = written(tmp_path / "set", [labelled(0, people=[Person(instance=1)], layers={"instances": masks(1)})])
    found = finds(tmp_path, "one", {"s0": [(BOXES[1], 0.9)]})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(found,)))
    assert [(line["treated"], line["found_by"]) for line in lines(made)] == [
        ("sloppy", {"truth": None}), ("blurred", {"one": 0.9}),
    ]  # fmt: skip


def test_a_find_without_a_place_stops_the_image(tmp_path):
    side = Sidecar(key="s0", people=[Person(instance=1, box_xyxy_px=BOXES[0]), Person(instance=2)])
    found = written(tmp_path / "one", [side])
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(found,)))
    assert left_out(made) == {"s0": "one found somebody, and nothing tells where"}


@pytest.mark.parametrize("listed", [0, 1])
def test_masks_of_people_whom_a_set_of_finds_does_not_list_are_people_too(listed, tmp_path):
    people = [Person(instance=1, attributes={"score": 0.9})][:listed]
    found = written(tmp_path / "masks", [Sidecar(key="s0", people=people, layers={"instances": masks()})])
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(found,)), on_miss="pass")
    assert covered(made.dataset[0].image)


def head(box):
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return Person(instance=9, head_box_xyxy_px=box, head_px=middle, attributes={"score": 0.9, "label": "head"})


def test_heads_belong_to_bodies_and_alone_are_not_enough(tmp_path):
    body = Person(instance=1, box_xyxy_px=BOXES[0], attributes={"score": 0.9, "label": "person"})
    on_it, elsewhere = head((10, 10, 18, 18)), head((40, 22, 50, 32))
    of_bodies = written(tmp_path / "bodies", [Sidecar(key=key, people=[body]) for key in ("s0", "s1")])
    sides = [Sidecar(key="s0", people=[on_it]), Sidecar(key="s1", people=[on_it, elsewhere])]
    of_heads = written(tmp_path / "heads", sides)
    methods = Methods(finds=(of_bodies, of_heads))
    made = anonymized(unlabelled(tmp_path, count=2), tmp_path / "out", methods=methods)
    assert [(line["treated"], line["found_by"]) for line in lines(made) if "person" in line] == [
        ("sloppy", {"bodies": 0.9, "heads": 0.9}),
    ]
    assert left_out(made) == {"s1": "of somebody only the head was found"}


def test_a_head_that_reaches_beyond_the_body_on_which_it_lies_is_treated_too(tmp_path):
    body = Person(instance=1, box_xyxy_px=(6, 14, 22, 40), attributes={"score": 0.9, "label": "person"})
    of_bodies = written(tmp_path / "bodies", [Sidecar(key="s0", people=[body])])
    of_heads = written(tmp_path / "heads", [Sidecar(key="s0", people=[head((8, 8, 20, 22))])])
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(of_bodies, of_heads)))
    assert covered(made.dataset[0].image, [(8, 8, 20, 22), (6, 14, 22, 40)])


@pytest.mark.parametrize("place", ["on their own head", "elsewhere on them"])
def test_where_heads_alone_are_treated_so_is_one_that_was_found_on_somebody(place, tmp_path, monkeypatch):
    own, found = (8, 8, 18, 18), (8, 10, 20, 22) if place == "on their own head" else (8, 26, 18, 36)
    person = Person(instance=1, head_box_xyxy_px=own, box_xyxy_px=BOXES[0])
    source = written(tmp_path / "set", [labelled(0, people=[person], layers={})])
    of_heads = written(tmp_path / "heads", [Sidecar(key="s0", people=[head(found)])])
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    refiner = ComponentSpec("refiner", "anonymizer-mask", {"extent": "head"})
    image = anonymized(source, tmp_path / "out", refiner, Methods(finds=(of_heads,))).dataset[0].image
    assert all((image[top:bottom, left:right] == 118).all() for left, top, right, bottom in (own, found))


@pytest.mark.parametrize("on_miss", ["quarantine", "blur-image", "pass"])
def test_images_in_which_nobody_was_found(on_miss, tmp_path):
    source = unlabelled(tmp_path)
    found = finds(tmp_path, "one", {"s0": []})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(found,)), on_miss=on_miss)
    images = [sample.image for sample in made.dataset]
    if on_miss == "quarantine":
        assert not images
        assert left_out(made) == {"s0": "nobody was found in it"}
    elif on_miss == "pass":
        assert (images[0] == picture(0)).all()
        assert "1 images in which nobody was found were handed on as they are" in made.summary.read_text()
    else:
        assert not shows(images[0], picture(0))
        assert np.abs(np.diff(images[0].astype(int), axis=0)).max() < 30
    assert made.counts.images == {{"quarantine": "left out", "blur-image": "blurred", "pass": "passed"}[on_miss]: 1}


def test_rooms_that_labels_say_are_empty_pass_unless_somebody_is_found(tmp_path):
    empty = {"people": (), "layers": {}}
    source = written(tmp_path / "set", [labelled(0, image=picture(0, 0), **empty), labelled(1, **empty)])
    made = anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]))
    assert [line["image"] for line in lines(made)] == ["empty", "treated", "treated"]
    assert not shows(made.dataset[1].image, picture(1))


def test_known_people_of_unknown_place_stop_an_image(tmp_path):
    source = written(tmp_path / "set", [labelled(0, people=[Person(identity="ann")], layers={}), labelled(1)])
    made = anonymized(source, tmp_path / "out")
    assert left_out(made) == {"s0": "somebody is known to be in it, and nothing tells where"}


@pytest.mark.parametrize("fault", ["raises", "says", "no answer", "two answers", "another key", "none", "nan", "score",
                                   "outside", "label", "mask", "crowd"])  # fmt: skip
def test_an_image_at_which_a_detector_failed_is_left_out(fault, tmp_path):
    source = unlabelled(tmp_path, count=2)
    methods = Methods(detectors=[seeing(fault=fault, at="s1")])
    made = anonymized(source, tmp_path / "out", methods=methods)
    assert [sample.key for sample in made.dataset] == ["s0"]
    assert left_out(made) == {"s1": "seeing could not tell who is in it"}


def test_processes_that_die_are_survived_and_their_images_left_out(tmp_path):
    source = unlabelled(tmp_path, count=3)
    methods = Methods(detectors=[seeing(fault="dies", at="s1")])
    made = anonymized(source, tmp_path / "out", sloppy("dies", at="s2"), methods, Local(1))
    assert [sample.key for sample in made.dataset] == ["s0"]
    assert left_out(made) == {
        "s1": "seeing could not tell who is in it",
        "s2": "work on it ended its process, or took too long",
    }


@pytest.mark.slow
def test_what_takes_too_long_is_left_out(tmp_path):
    source = unlabelled(tmp_path, count=3)
    methods = Methods(detectors=[seeing(fault="hangs", at="s1")])
    made = anonymized(source, tmp_path / "out", sloppy("hangs", at="s2"), methods, Local(1), timeout_s=15)
    assert [sample.key for sample in made.dataset] == ["s0"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unchanged", "detail of somebody was still there after sloppy"),
        ("faint", "detail of somebody was still there after sloppy"),
        ("one", "detail of somebody was still there after sloppy"),
        ("raises", "refiner 'sloppy' failed (ValueError)"),
        ("skips", "refiner 'sloppy' could not treat it"),
        ("no answer", "refiner 'sloppy' gave no answer for it"),
        ("another key", "refiner 'sloppy' gave no answer for it"),
        ("another size", "refiner 'sloppy' gave an image of another size"),
    ],
)
def test_an_image_that_the_refiner_did_not_treat_is_left_out(fault, reason, labels, tmp_path):
    made = anonymized(labels, tmp_path / "out", sloppy(fault, at="s1"))
    assert [sample.key for sample in made.dataset] == ["s0", "s2"]
    assert left_out(made) == {"s1": reason}


def test_when_everything_is_left_out_that_is_told(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out", sloppy("unchanged"))
    assert len(made.dataset) == 0
    assert len(left_out(made)) == 3
    check_holds_no_original(tmp_path / "out")


def test_a_second_look_finds_who_was_overlooked(tmp_path):
    source = unlabelled(tmp_path, count=2)
    found = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9)], "s1": [(box, 0.9) for box in BOXES]})
    made = anonymized(source, tmp_path / "out", sloppy(tells=False), Methods(finds=(found,), check=seeing()))
    assert [sample.key for sample in made.dataset] == ["s1"]
    assert left_out(made) == {"s0": "seeing still found 1 who had not been treated"}


def test_a_second_look_that_fails_stops_the_image(labels, tmp_path):
    methods = Methods(check=seeing(fault="nan", at="s1"))
    made = anonymized(labels, tmp_path / "out", sloppy(tells=False), methods)
    assert left_out(made) == {"s1": "seeing could not look at it again"}


def test_methods_that_cannot_do_are_refused(photos, labels, tmp_path):
    with pytest.raises(ConfigError, match="nothing looks for people"):
        anonymized(photos, tmp_path / "out")
    with pytest.raises(ConfigError, match="is the detector that looked"):
        anonymized(labels, tmp_path / "out", methods=Methods(detectors=[seeing()], check=seeing()))
    with pytest.raises(ConfigError, match="names more than one"):
        anonymized(labels, tmp_path / "out", methods=Methods(detectors=[seeing(), seeing(masks=True)]))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["blind", "sloppy"])
def test_what_is_under_a_mask_changes_nothing_where_a_refiner_does_not_look_at_it(name, tmp_path):
    """The refiner would tell in the corner what it saw; of one that promises not to look, nothing can come through."""
    results = []
    for turn in (0, 1):
        image = picture(0)
        image[masks() > 0] = 255 - image[masks() > 0] if turn else image[masks() > 0]
        source = written(tmp_path / f"set{turn}", [labelled(0, image=image)])
        made = anonymized(source, tmp_path / f"out{turn}", ComponentSpec("refiner", name))
        results.append(made.dataset[0].image)
    assert (results[0] == results[1]).all() == (name == "blind")


def test_nothing_is_asked_of_what_is_not_the_head_where_heads_are_treated(tmp_path, monkeypatch):
    heads = [Person(instance=1, head_box_xyxy_px=(8, 8, 18, 18)), Person(instance=2, head_box_xyxy_px=(38, 20, 48, 30))]
    source = written(tmp_path / "set", [labelled(0, people=heads)])
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    made = anonymized(source, tmp_path / "out", ComponentSpec("refiner", "anonymizer-mask", {"extent": "head"}))
    image = made.dataset[0].image
    assert (image[9:17, 9:17] == 118).all()
    assert (image[30:40, 8:20] == picture(0)[30:40, 8:20]).all()


def test_workers_change_no_byte(labels, tmp_path):
    anonymized(labels, tmp_path / "here")
    anonymized(labels, tmp_path / "there", executor=Local(2))
    assert files(tmp_path / "here") == files(tmp_path / "there")


def test_a_detector_that_cannot_be_entered_takes_no_folder(labels, tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    missing = ComponentSpec("detector", "onnx", {"model": str(tmp_path / "nowhere.onnx")})
    for methods in (Methods(detectors=[missing]), Methods(check=missing)):
        with pytest.raises(SynthkitError, match=r"nowhere\.onnx"):
            anonymized(labels, tmp_path / "out", methods=methods)
        assert not (tmp_path / "out").exists()


def invoked(*words):
    return CliRunner().invoke(app, ["anonymize", *map(str, words)])


def test_the_command_tells_what_came_of_it(labels, tmp_path):
    words = (labels, tmp_path / "out", "--refiner", "sloppy", "--set", "refiner.fault=unchanged", "--set",
             "refiner.at=s1", "--workers", "1")  # fmt: skip
    result = invoked(*words)
    assert result.exit_code == 1
    assert f"anonymized: {tmp_path}/out/dataset (2 images, 4 people treated)" in result.output
    assert f"1 samples were skipped (reasons are in the records); {tmp_path}/out/audit.jsonl says why" in result.output
    assert invoked(*words, "--allow-missing").exit_code == 0


def test_all_wrong_settings_are_told_at_once(labels, tmp_path):
    result = invoked(labels, tmp_path / "out", "--refiner", "slopy", "--set", "anonymize.on_mis=pass")
    assert isinstance(result.exception, ConfigError | PluginError)
    assert "did you mean" in str(result.exception)
    assert "on_mis" in str(result.exception)
    assert "slopy" in str(result.exception)
    result = invoked(labels, tmp_path / "out", "--refiner", "sloppy", "--detector", "seeing", "--set",
                     "detector.seeing.mask=true", "--set", "check.other.mask=true")  # fmt: skip
    assert "detector.seeing.mask" in str(result.exception)
    assert "check.other: is not used here" in str(result.exception)
    assert not (tmp_path / "out").exists()
