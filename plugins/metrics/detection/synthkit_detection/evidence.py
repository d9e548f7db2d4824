# SPDX-License-Identifier: Apache-2.0
"""What stands behind the numbers: curves, kinds of errors, and the most telling misses and false alarms.

Errors are sorted in the manner of Bolya et al., TIDE (ECCV 2020).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from synthkit.interfaces import Chart, Evidence, Exhibit
from synthkit.sample import Array, RotatedBox
from synthkit_detection.config import DetectionConfig
from synthkit_detection.geometry import GEOMETRIES, Bools, Boxes, Floats, Ints
from synthkit_detection.judging import Judged, Set
from synthkit_detection.ranking import RECALL_POINTS, Ranked

SHOWN = 8
"""Misses and false alarms that are shown."""

_SHOWN_PER_IMAGE = 2
_POINTS = 200

TWICE, MISPLACED, NOBODY = "somebody found twice", "badly placed", "nobody there"
BELOW, BADLY, MERGED, UNSEEN = "scored too low", "badly placed", "found together with a neighbour", "not found at all"


@attrs.frozen(eq=False)
class Errors:
    """False alarms and misses at the score threshold, each with its kind: indices (N,) and as many words."""

    false: Ints
    false_kind: Sequence[str]
    missed: Ints
    missed_kind: Sequence[str]


def explain(
    seen: Set, judged: Judged, rankings: Mapping[float, Ranked], config: DetectionConfig, score: float
) -> Evidence:
    """Return the evidence of a judged set at its score threshold and the agreement ``iou``."""
    found = errors(seen, judged, config.iou, score)
    charts = []
    if judged.needed.any():
        charts.append(_precision_recall(rankings, config))
    if len(seen.state["scores"]):
        charts += [_sweep(rankings[config.iou], config, score), _count_sweep(rankings[config.iou])]
    return Evidence(
        charts=charts,
        counts={
            "false alarms": _tally(found.false_kind, (NOBODY, MISPLACED, TWICE)),
            "missed": _tally(found.missed_kind, (UNSEEN, BELOW, BADLY, MERGED)),
        },
        exhibits={
            "missed": _misses(seen, found, config.boxes, score),
            "false alarms": _false_alarms(seen, found, config.boxes, score),
        },
        images=_images(seen, judged, config, score),
    )


def errors(seen: Set, judged: Judged, iou: float, score: float) -> Errors:
    """Return the false alarms and misses of a set judged as a whole, at one agreement and score threshold."""
    level = seen.ious.index(iou)
    kept = seen.state["scores"] >= score
    partner, agreement, truth = judged.partner[level], seen.candidates.agreement, seen.candidates.truth
    false = np.flatnonzero(kept & ~judged.right[level] & ~judged.left_out[level])
    needed = np.append(judged.needed, False)
    best = np.where(needed[truth], agreement, -1.0).max(axis=1, initial=-1.0)
    false_kind = [NOBODY if best[row] < 0 else MISPLACED if best[row] < iou else TWICE for row in false]

    truths = len(judged.needed)
    taken = _marked(truths, partner[kept & judged.right[level]])
    low = _marked(truths, partner[~kept & judged.right[level]])
    close = _marked(truths, truth[kept[:, None] & (agreement >= iou)])
    touched = _marked(truths, truth[kept[:, None] & (agreement >= 0)])
    missed = np.flatnonzero(judged.needed & ~taken)
    missed_kind = [BELOW if low[row] else MERGED if close[row] else BADLY if touched[row] else UNSEEN for row in missed]
    return Errors(false, false_kind, missed, missed_kind)


def _marked(count: int, rows: Ints) -> Bools:
    marks = np.zeros(count, dtype=bool)
    marks[rows] = True
    return marks


def _tally(kinds: Sequence[str], order: Sequence[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in order}


def _precision_recall(rankings: Mapping[float, Ranked], config: DetectionConfig) -> Chart:
    series = {
        f"at {iou:.2f}": list(zip(RECALL_POINTS.tolist(), rankings[iou].precision_at_recalls().tolist(), strict=True))
        for iou in sorted({config.iou, *config.ap_ious})
    }
    return Chart("Precision over recall", "recall", "precision", series, "the best precision at each recall or beyond")


def _sweep(main: Ranked, config: DetectionConfig, score: float) -> Chart:
    scores, values = main.sweep()
    rows = _thinned(len(scores))
    series = {
        name: list(zip(scores[rows].tolist(), values[rows, column].tolist(), strict=True))
        for column, name in enumerate(("precision", "recall", "F1"))
    }
    note = f"at an agreement of {config.iou:.2f}; the dashed line is the threshold of the numbers above"
    return Chart("Scores over the threshold", "least score", "value", series, note, mark=score)


def _count_sweep(main: Ranked) -> Chart:
    thresholds = np.unique(main.scores)
    thresholds = thresholds[_thinned(len(thresholds))]
    rows = []
    for threshold in thresholds.tolist():
        counts = main.counts(threshold)
        off = counts[:, 1] - counts[:, 2]
        rows.append((threshold, float(np.abs(off).mean()), float(off.mean())))
    series = {"off by": [(x, y) for x, y, _ in rows], "too many": [(x, y) for x, _, y in rows]}
    note = "means over the images; below zero there are too few"
    return Chart("Error of the number of people", "least score", "people per image", series, note)


def _thinned(count: int) -> Ints:
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, _POINTS)).round().astype(np.int64))


def _misses(seen: Set, found: Errors, boxes: Boxes, score: float) -> list[Exhibit]:
    """Return misses, those of who is largest and best seen first."""
    visible, outlines = seen.state["visible"][found.missed], seen.state["truth"][found.missed]
    seen_area = np.where(np.isnan(visible), 1.0, visible) * GEOMETRIES[boxes].areas(outlines)
    exhibits = []
    for place in _chosen(np.argsort(-seen_area, kind="stable"), seen.originals[seen.truth_image[found.missed]]):
        share = "" if np.isnan(visible[place]) else f", {visible[place]:.0%} seen"
        note = f"{found.missed_kind[place]}{share}"
        image = int(seen.truth_image[found.missed[place]])
        exhibits.append(_exhibit(seen, image, outlines[place], note, boxes, score))
    return exhibits


def _false_alarms(seen: Set, found: Errors, boxes: Boxes, score: float) -> list[Exhibit]:
    """Return false alarms, the surest first."""
    scores = seen.state["scores"][found.false]
    exhibits = []
    for place in _chosen(np.argsort(-scores, kind="stable"), seen.originals[seen.found_image[found.false]]):
        row = found.false[place]
        note = f"{found.false_kind[place]}, score {scores[place]:.2f}"
        exhibits.append(_exhibit(seen, int(seen.found_image[row]), seen.state["detected"][row], note, boxes, score))
    return exhibits


def _images(seen: Set, judged: Judged, config: DetectionConfig, score: float) -> dict[str, list[Exhibit]]:
    """Return whole images: by lot, and those with the best and worst F1, of equals those with more people first."""
    level = seen.ious.index(config.iou)
    kept = seen.state["scores"] >= score
    count = len(seen.state["truths"])
    needed = np.bincount(seen.truth_image[judged.needed], minlength=count)
    right = np.bincount(seen.found_image[kept & judged.right[level]], minlength=count)
    false = np.bincount(seen.found_image[kept & ~judged.right[level] & ~judged.left_out[level]], minlength=count)
    asked = needed + right + false
    f1 = np.where(asked > 0, 2 * right / np.maximum(asked, 1), 1.0)  # where nobody is and nobody was found
    lots = np.array([hashlib.sha256(str(key).encode()).hexdigest() for key in seen.state["key"]])
    orders = {
        "drawn by lot": np.argsort(lots, kind="stable"),
        "with the best finds": np.lexsort((lots, -needed, -f1)),
        "with the worst finds": np.lexsort((lots, -needed, f1)),
    }
    found = {}
    for name, order in orders.items():
        found[name] = [
            _exhibit(seen, image, _frame(seen, image, config.boxes),
                     f"{right[image]} of {needed[image]} found, {false[image]} false alarms, F1 {f1[image]:.2f}",
                     config.boxes, score)
            for image in _chosen(order, seen.originals)
        ]  # fmt: skip
    return found


def _frame(seen: Set, image: int, boxes: Boxes) -> Floats:
    """Return the square of an image's shorter side around its nadir, as an outline."""
    x, y, half = seen.state["frame"][image].tolist()
    rows = {"upright": [x - half, y - half, x + half, y + half], "points": [x, y, 2 * half * np.sqrt(2.0)]}
    return np.array(rows.get(boxes, [x, y, 2 * half, 2 * half, 0.0]))


def _chosen(order: Ints, images: Ints) -> list[int]:
    """Return the first few places of an order, few of them from any one image and its turns."""
    chosen: list[int] = []
    per_image: dict[int, int] = {}
    for place in order.tolist():
        image = int(images[place])
        if per_image.get(image, 0) < _SHOWN_PER_IMAGE and len(chosen) < SHOWN:
            per_image[image] = per_image.get(image, 0) + 1
            chosen.append(place)
    return chosen


def _exhibit(seen: Set, image: int, focus: Floats, note: str, boxes: Boxes, score: float) -> Exhibit:
    state = seen.state
    truth = state["truth"][seen.truth_image == image]
    kept = (seen.found_image == image) & (state["scores"] >= score)
    return Exhibit(
        key=str(state["key"][image]),
        focus_px=corners_px(focus, boxes),
        note=note,
        truth_px=[corners_px(row, boxes) for row in truth],
        found_px=[corners_px(row, boxes) for row in state["detected"][kept]],
    )


def corners_px(row: Floats, boxes: Boxes) -> Array:
    """Return the corners of an outline, (4, 2); of a point a square's with its size for a diagonal."""
    if boxes == "upright":
        left, top, right, bottom = row.tolist()
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if boxes == "points":
        x, y, size = row.tolist()
        return RotatedBox(x, y, size / np.sqrt(2.0), size / np.sqrt(2.0), 0.0).corners_px()
    return RotatedBox(*row.tolist()).corners_px()
