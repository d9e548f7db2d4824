# SPDX-License-Identifier: Apache-2.0
"""Images of people that tests anonymize, what looks for these people and treats them, and what came of it."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from synthkit.anonymization import run
from synthkit.anonymization.policy import Policy
from synthkit.dataset import DatasetWriter
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Person, Sample, Sidecar
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

RUN = RunSettings(scenes_per_shard=2)
SIZE = 64
BOXES = ((6, 8, 22, 40), (36, 20, 54, 60))
COVER = 7  # of the refiner ``sloppy``
SECRET = b"ANN-OTHER"


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


def write_photos(tmp_path):
    """Write a folder of two photos that tell whose they are."""
    folder = tmp_path / "photos"
    folder.mkdir()
    jpeg(folder / "a.jpg", picture(1))
    png(folder / "b.png", picture(2))
    assert all(SECRET in path.read_bytes() for path in folder.iterdir())
    return folder
