# SPDX-License-Identifier: Apache-2.0
"""Find people in images, folders, videos or a camera's, with an ONNX file, ONNX Runtime and NumPy alone.

    python detect.py detector.onnx photo.jpg folder/ --out found
    python detect.py detector.onnx entrance.mp4 --out found
    python detect.py detector.onnx --camera 0

The card beside the file (detector.json, of synthkit export) tells how pixels go in and boxes come out. Neither
torch nor synthkit is needed. Pictures are read with Pillow or OpenCV, whichever is there; videos and cameras need
OpenCV. Prints one line of JSON an image; with --out it also draws what was found.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
COLOUR = np.array([255, 220, 0], np.uint8)


class Detector:
    """A detector: image (H, W, 3) uint8 sRGB in, rows left, top, right, bottom, score, label out.

    Rotated boxes are rows cx, cy, w, h, degrees clockwise, score, label.
    """

    def __init__(self, model: Path, card: Path | None = None, threads: int = 1) -> None:
        import onnxruntime  # the only thing here that is not NumPy

        self.model = model
        self.card = read_card(card or model.with_suffix(".json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors come as exceptions too
        try:
            self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception for each of its codes
            sys.exit(f"{model}: cannot be opened: {one_line(error)}")
        score = self.card["operating_score"]
        self.score = self.card["score_threshold"] if score is None else score

    def __call__(self, image: np.ndarray, score: float | None = None) -> np.ndarray:
        laid, scale, offset = letterbox(image, tuple(self.card["input"]["size_px"]))
        names = [output.name for output in self.session.get_outputs()]
        try:
            arrays = self.session.run(names, {self.card["input"]["name"]: self.batch(laid)})
            rows = self.decode(dict(zip(names, arrays, strict=True)))
        except Exception as error:  # as above, and whatever arrays of other shapes lead to
            sys.exit(f"{self.model}: is not what its card tells: {one_line(error)}")
        rows = rows[rows[:, -2] >= (self.score if score is None else score)]
        return to_image(rows, scale, offset, (image.shape[1], image.shape[0]))

    def batch(self, laid: np.ndarray) -> np.ndarray:
        """Return an image of the input's size as the network takes it."""
        source = self.card["input"]
        values = laid[..., ::-1] if source["colour"] == "BGR" else laid
        if source["dtype"] == "float32":
            values = (values.astype(np.float32) - source["mean"]) / source["deviation"]
            values = values.astype(np.float32)
        if source["layout"] == "NCHW":
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[np.newaxis])

    def decode(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return what was found, in pixels of the input, best first."""
        whole = self.card["output"]["boxes"]
        if whole is not None:
            count = int(outputs[whole["count"]][0])
            parts = [outputs[whole[name]][0, :count] for name in ("boxes", "scores", "labels")]
            return np.column_stack(parts).astype(np.float64)
        maps = self.card["output"]["anchors"]
        if maps is None:
            sys.exit("this example reads detectors of synthkit; its plugin onnx reads others")
        return suppress(candidates(maps, self.card, outputs), self.card["nms_iou"])


def read_card(path: Path) -> dict[str, Any]:
    """Return a card of synthkit export; end with a line that says so when it is none."""
    try:
        card = json.loads(path.read_text())["detector"]
        if not is_sound(card):
            raise ValueError("a value is none that it may have")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        sys.exit(f"{path}: is no card of synthkit export: {type(error).__name__}: {one_line(error)}")
    return card


def is_sound(card: dict[str, Any]) -> bool:
    """Tell whether a card's values are of the kinds that they may be."""
    source, whole, maps = card["input"], card["output"]["boxes"], card["output"]["anchors"]
    names = [source["name"], *card["classes"]]
    sizes, scores = [*source["size_px"]], [card["score_threshold"], card["nms_iou"]]
    scores += [] if card["operating_score"] is None else [card["operating_score"]]
    channels = [*source["mean"], *source["deviation"]]
    sound = source["colour"] in ("RGB", "BGR") and source["layout"] in ("NCHW", "NHWC")
    sound &= source["dtype"] in ("uint8", "float32") and len(source["mean"]) == len(source["deviation"]) == 3
    sound &= 0 not in source["deviation"]
    if whole is not None:
        names += [whole[name] for name in ("boxes", "scores", "labels", "count")]
    elif maps is not None:
        names += [maps["confidence"], maps["deltas"], maps["classes"] or "none"]
        sizes += [maps["stride"], *(math.ceil(side) for w, h in maps["anchors"] for side in (w, h))]
        sound &= maps["centres"] in ("cells", "published") and maps["boxes"] in ("upright", "rotated")
        sound &= 0 < len(maps["anchors"]) <= 64
    return (
        sound
        and len(source["size_px"]) == 2
        and all(type(name) is str for name in names)
        and all(type(side) is int and 1 <= side <= 4096 for side in (*sizes, card["most"]))
        and all(type(score) in (int, float) and 0 <= score <= 1 for score in scores)
        and all(type(value) in (int, float) and abs(value) < 1e6 for value in channels)
    )


def one_line(error: Exception) -> str:
    """Return what an error says, shortened."""
    return ascii(" ".join(str(error).split())[:300]).strip("'\"")


def letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Return an image in the middle of the input, on black, how it was scaled and where it lies."""
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    if scale >= 1.0 and all(0 <= big - small < 16 for big, small in zip(size, (width, height), strict=True)):
        scale = 1.0  # what fits is not enlarged for a few pixels
    w, h = (max(1, min(round(side * scale), most)) for side, most in zip((width, height), size, strict=True))
    rows, columns = resampling(height, h), resampling(width, w)
    small = np.einsum("yh,hwc->ywc", rows, image.astype(np.float32), optimize=True)
    small = np.einsum("xw,ywc->yxc", columns, small, optimize=True)
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    result = np.zeros((size[1], size[0], 3), np.uint8)
    result[y : y + h, x : x + w] = np.clip(np.rint(small), 0, 255)
    return result, scale, (x, y)


def resampling(length: int, wanted: int) -> np.ndarray:
    """Return weights (wanted, length): areas when shrinking, linear between pixels' middles when enlarging."""
    if wanted == length:
        return np.eye(length, dtype=np.float32)
    ratio = length / wanted
    places = np.arange(wanted)[:, None]
    pixels = np.arange(length)[None]
    if ratio > 1.0:
        covered = np.minimum(pixels + 1, (places + 1) * ratio) - np.maximum(pixels, places * ratio)
        return (np.clip(covered, 0.0, None) / ratio).astype(np.float32)
    middle = np.clip((places + 0.5) * ratio - 0.5, 0, length - 1)
    return np.clip(1.0 - np.abs(pixels - middle), 0.0, None).astype(np.float32)


def candidates(maps: dict[str, Any], card: dict[str, Any], outputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the best predictions of SqueezeDet's maps as rows, best first."""
    shapes = np.array(maps["anchors"])
    confidence = outputs[maps["confidence"]][0].astype(np.float64)
    count, rows, columns = confidence.shape
    scores, labels = confidence, np.zeros(confidence.shape)
    if maps["classes"] is not None:
        logits = outputs[maps["classes"]][0].reshape(count, -1, rows, columns).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores, labels = confidence * odds.max(axis=1) / odds.sum(axis=1), odds.argmax(axis=1)
    # In the order of rows, columns, anchors, as equal scores keep their order.
    scores, labels = (part.transpose(1, 2, 0).reshape(-1) for part in (scores, labels))
    best = np.flatnonzero(scores >= card["score_threshold"])
    best = best[np.argsort(-scores[best], kind="stable")][: card["most"]]
    deltas = outputs[maps["deltas"]][0].reshape(count, -1, rows, columns).transpose(2, 3, 0, 1)
    deltas = deltas.reshape(rows * columns * count, -1)[best].astype(np.float64)
    cell, anchor = np.divmod(best, count)
    y, x = np.divmod(cell, columns)
    size = np.array(card["input"]["size_px"], dtype=np.float64)
    if maps["centres"] == "published":
        middle = np.stack([(x + 1) * size[0] / (columns + 1), (y + 1) * size[1] / (rows + 1)], axis=1)
    else:
        middle = (np.stack([x, y], axis=1) + 0.5) * maps["stride"]
    sides = shapes[anchor] * safe_exp(deltas[:, 2:4])
    if maps["boxes"] == "rotated":
        unit = np.sqrt(shapes[anchor].prod(axis=1, keepdims=True))
        boxes = turned(np.clip(middle + deltas[:, :2] * unit, 0, size), sides, deltas[:, 4:])
    else:
        centre = middle + deltas[:, :2] * shapes[anchor]
        boxes = np.hstack([np.clip(centre - sides / 2, 0, size), np.clip(centre + sides / 2, 0, size)])
    return np.column_stack([boxes, scores[best], labels[best]])


def safe_exp(x: np.ndarray) -> np.ndarray:
    """Return exp(x), beyond 1 its tangent."""
    return np.where(x > 1.0, math.e * x, np.exp(np.minimum(x, 1.0)))


def turned(centre: np.ndarray, sides: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return rotated boxes; the vector points in the direction of twice the angle."""
    vector = np.where(sides[:, :1] > sides[:, 1:], -vector, vector)
    degrees = np.degrees(np.arctan2(vector[:, 1], vector[:, 0])) / 2
    degrees = np.where(degrees >= 90, degrees - 180, degrees)
    return np.column_stack([centre, sides.min(axis=1), sides.max(axis=1), degrees])


def suppress(rows: np.ndarray, overlap: float) -> np.ndarray:
    """Return the rows that overlap no better one of their class; those left out leave out others too."""
    kept = [
        not any(
            rows[other, -1] == rows[row, -1] and iou(rows[row, :-2], rows[other, :-2]) > overlap for other in range(row)
        )
        for row in range(len(rows))
    ]
    return rows[np.array(kept, dtype=bool)]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the overlap of two boxes, upright (4) or rotated (5)."""
    if len(one) == 4:
        shared = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
        shared *= max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    else:
        shared = polygon_area(clipped(corners(one), corners(other)))
        areas = [box[2] * box[3] for box in (one, other)]
    return float(shared / max(sum(areas) - shared, 1e-6))


def corners(box: np.ndarray) -> list[tuple[float, float]]:
    """Return the corners of a rotated box, clockwise on the screen."""
    cx, cy, w, h, degrees = box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    offsets = ((-w, -h), (w, -h), (w, h), (-w, h))
    return [(cx + (x * cos - y * sin) / 2, cy + (x * sin + y * cos) / 2) for x, y in offsets]


def clipped(polygon: list[tuple[float, float]], other: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return what of a polygon lies within another, convex one (Sutherland and Hodgman 1974)."""
    for (ax, ay), (bx, by) in zip(other, other[1:] + other[:1], strict=True):
        sides = [(bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in polygon]
        result = []
        for number, (point, side) in enumerate(zip(polygon, sides, strict=True)):
            before, side_before = polygon[number - 1], sides[number - 1]
            if (side >= 0) != (side_before >= 0):
                share = side_before / (side_before - side)
                result.append(tuple(p + share * (q - p) for p, q in zip(before, point, strict=True)))
            if side >= 0:
                result.append(point)
        polygon = result
    return polygon


def polygon_area(polygon: list[tuple[float, float]]) -> float:
    """Return the area of a polygon."""
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return abs(sum(ax * by - ay * bx for (ax, ay), (bx, by) in pairs)) / 2


def to_image(rows: np.ndarray, scale: float, offset: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return rows in the image's own pixels."""
    rows = rows.copy()
    if rows.shape[1] == 7:
        rows[:, :2] = (rows[:, :2] - offset) / scale
        rows[:, 2:4] /= scale
    else:
        rows[:, :4] = np.clip((rows[:, :4] - offset * 2) / scale, 0, size * 2)
    return rows


def frames(sources: list[str], camera: int | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and images of all that was named."""
    for source in map(Path, sources):
        if source.is_dir():
            for path in sorted(path for path in source.iterdir() if path.suffix.lower() in PICTURES):
                yield path.name, read_picture(path)
        elif source.suffix.lower() in VIDEOS:
            yield from captured(str(source), source.stem)
        else:
            yield source.name, read_picture(source)
    if camera is not None:
        yield from captured(camera, f"camera{camera}")


def captured(source: str | int, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the frames of a video or a camera."""
    try:
        import cv2
    except ImportError:
        sys.exit("videos and cameras need OpenCV: pip install opencv-python-headless")
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        sys.exit(f"{source}: cannot be opened")
    number = 0
    while True:
        there, frame = capture.read()
        if not there:
            break
        yield f"{name}_{number:06d}.jpg", np.ascontiguousarray(frame[..., ::-1])
        number += 1
    capture.release()


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8 sRGB."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return _read_with_opencv(path)
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except OSError as error:
        sys.exit(f"{path}: cannot be read: {error}")


def _read_with_opencv(path: Path) -> np.ndarray:
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        sys.exit(f"{path}: cannot be read")
    return np.ascontiguousarray(image[..., ::-1])


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a picture."""
    try:
        from PIL import Image

        Image.fromarray(image).save(path)
    except ImportError:
        import cv2

        cv2.imwrite(str(path), image[..., ::-1])


def draw(image: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return an image with the outlines of boxes on it."""
    result = image.copy()
    for row in rows:
        upright = [(row[0], row[1]), (row[2], row[1]), (row[2], row[3]), (row[0], row[3])]
        outline = corners(row[:5]) if len(row) == 7 else upright
        for (ax, ay), (bx, by) in zip(outline, outline[1:] + outline[:1], strict=True):
            steps = np.linspace(0, 1, 2 + int(max(abs(bx - ax), abs(by - ay))))
            x = np.clip((ax + steps * (bx - ax)).astype(int), 0, image.shape[1] - 1)
            y = np.clip((ay + steps * (by - ay)).astype(int), 0, image.shape[0] - 1)
            result[y, x] = COLOUR
            result[np.minimum(y + 1, image.shape[0] - 1), x] = COLOUR
    return result


def main() -> None:
    """Detect, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("sources", nargs="*", help="pictures, folders of pictures, videos")
    parser.add_argument("--card", type=Path, help="its card, if it does not lie beside it")
    parser.add_argument("--camera", type=int, help="number of a camera")
    parser.add_argument("--score", type=float, help="least score [default: the card's operating score]")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime")
    parser.add_argument("--out", type=Path, help="folder for the pictures with boxes")
    args = parser.parse_args()
    if not args.sources and args.camera is None:
        parser.error("name pictures, folders, videos or a --camera")
    detector = Detector(args.model, args.card, args.threads)
    if args.out is not None:
        try:
            args.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sys.exit(f"--out {args.out}: cannot be made a folder: {error.strerror}")
    for name, image in frames(args.sources, args.camera):
        rows = detector(image, args.score)
        print(json.dumps({"image": name, "found": rows.round(3).tolist()}), flush=True)
        if args.out is not None:
            picture = name if Path(name).suffix.lower() in PICTURES else f"{name}.png"
            write_picture(args.out / picture, draw(image, rows))


if __name__ == "__main__":
    main()
