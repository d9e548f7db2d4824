# SPDX-License-Identifier: Apache-2.0
"""The metric ``detection``: how many people (or heads) are found, and how many finds are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, cast

import attrs
import numpy as np

from synthkit.checkpoint import Checkpoint
from synthkit.crops import nadir_px
from synthkit.errors import DatasetError
from synthkit.interfaces import Evidence, Items, MetricResult, RoleKind, Runtime, Scored, State
from synthkit.resampling import Draws, Units, interval, sequences_of, unit_of
from synthkit.sample import Detections, Sample
from synthkit_detection.config import DetectionConfig
from synthkit_detection.evidence import explain
from synthkit_detection.geometry import GEOMETRIES, Floats
from synthkit_detection.judging import Judged, Part, Set
from synthkit_detection.ranking import Ranked, precision_recall_f1
from synthkit_detection.state import Frame, Image, pack, unpack
from synthkit_detection.truth import Attribute, truth_of

_MOST_RESAMPLED, _LEAST_RESAMPLES = 5_000_000, 200
"""Average precision of large sets, whose intervals are narrow, is resampled less: detections in all, and times."""

_SHOWN = 8
_OBSERVED = (
    "target", "boxes", "people", "others", "label", "max_detections", "min_box_px", "min_visible", "point_px"
)  # fmt: skip
_AT_SCORE = ("precision", "recall", "f1")
_STATE_REVISION = 1  # to be raised when states hold something else

COCO_IOUS = tuple(float(value) for value in np.linspace(0.5, 0.95, 10))


@attrs.frozen(eq=False)
class _Basis:
    """What all results of a set share.

    Args:
        score: the least that counts. draws: (resamples, images). count: how many images the set has, turns apart.
    """

    score: float
    draws: Draws
    count: int
    definition: Mapping[str, Any]
    cautions: tuple[str, ...]


class DetectionMetric:
    """Precision, recall, F1 (thesis 000, equations 2.23 to 2.25), average precision (COCO's, 101 recalls), counts.

    Each detection, best score first, takes the truth it agrees with most among those still free; it is right
    when they agree by ``iou`` at least. Intervals are 95 % percentile bootstrap intervals over images with all their
    turns, or over sequences, at the score threshold of the whole set.
    """

    roles: Mapping[str, RoleKind] = {"scored": "detections"}

    def __init__(self, config: DetectionConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._given, self._chosen_by = _given_score(config, checkpoint)
        self._columns = GEOMETRIES[config.boxes].columns

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def observe(self, role: str, items: Items) -> State:
        """Return the state of some scored samples; those with unknown people are left out.

        Raises:
            DatasetError: when people lack the outline that is judged, or the detector does not give such.
        """
        config = self._config
        people = Attribute.of(config.people) if config.people else None
        images: list[Image] = []
        unlabelled, values = 0, set[str]()
        for item in cast("Iterable[Scored]", items):
            sample = item.sample
            if sample.people is None:
                unlabelled += 1
                continue
            truth = truth_of(
                sample, config.target, config.boxes, people=people, others_left_out=config.others == "left out",
                min_box_px=config.min_box_px, min_visible=config.min_visible, point_px=config.point_px,
            )  # fmt: skip
            if people is not None:
                values |= {str(one.attributes[people.name]) for one in sample.people if people.name in one.attributes}
            units = unit_of(sample, "image"), unit_of(sample, "sequence")
            detected, scores = self._detected(item.detections)
            images.append(Image.of(sample.key, units, _frame(sample), truth, detected, scores))
        return pack(images, unlabelled, self._columns, values)

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what of the settings the state depends on; all else matters to what is computed of it."""
        return {"detection": _STATE_REVISION, **{name: getattr(self._config, name) for name in _OBSERVED}}

    def merge(self, states: Sequence[State]) -> State:
        """Return the state of all images; their order never matters."""
        images = [image for state in states for image in unpack(state)]
        values = [str(value) for state in states for value in state["values"]]
        return pack(images, sum(int(state["unlabelled"][0]) for state in states), self._columns, values)

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return precision, recall, F1, the error of counts, and AP unless nothing was to be found.

        The same follows of each part by size and distance in which somebody was to be found, but for counts.

        Raises:
            DatasetError: when no image has known people, nobody is one of those who are to be found, or sequences are
                to be resampled and there is none.
        """
        seen = self._set(states)
        judged = seen.judge(seen.whole())
        rankings = seen.rankings(judged)
        basis = self._basis(seen, judged, self._score(rankings))
        results = self._results("", rankings, basis)
        results.insert(3, self._count_error(rankings[self._config.iou], basis))
        for part in self._parts(seen):
            judged = seen.judge(part)
            if judged.needed.any():
                results += self._results(part.label, seen.rankings(judged), basis)
        return results

    def explain(self, states: Mapping[str, State]) -> Evidence:
        """Return the curves behind the numbers, what kinds of errors there are, and the most telling of them.

        Raises:
            DatasetError: when no image has known people.
        """
        seen = self._set(states)
        judged = seen.judge(seen.whole())
        rankings = seen.rankings(judged)
        return explain(seen, judged, rankings, self._config, self._score(rankings))

    def resampled(self, states: Mapping[str, State]) -> Mapping[str, Floats]:
        """Return precision, recall and F1 of resampled sets, by their results' names, (resamples,) each.

        Raises:
            DatasetError: when no image has known people.
        """
        seen = self._set(states)
        judged = seen.judge(seen.whole())
        rankings = seen.rankings(judged)
        basis = self._basis(seen, judged, self._score(rankings))
        _, spread = _at_score(rankings[self._config.iou], basis)
        return {self._named(name, self._where): spread[:, column] for column, name in enumerate(_AT_SCORE)}

    def _set(self, states: Mapping[str, State]) -> Set:
        state = states["scored"]
        if not len(state["truths"]):
            raise DatasetError("detection: no sample says who is in it, so there is nothing to judge against")
        if self._config.people and Attribute.of(self._config.people).value not in state["values"]:
            known = ", ".join(state["values"][:_SHOWN]) or "nobody's is known"
            raise DatasetError(f"people: nobody in the set is {self._config.people}; known of it: {known}")
        ious = (self._config.iou, *self._config.ap_ious, *(COCO_IOUS if self._config.coco else ()))
        return Set(state, self._config.boxes, ious)

    def _parts(self, seen: Set) -> Iterator[Part]:
        yield from seen.by_size(self._config.size_edges_px)
        yield from seen.by_distance(self._config.distance_edges)

    def _score(self, rankings: Mapping[float, Ranked]) -> float:
        return rankings[self._config.iou].best_score() if self._given is None else self._given

    def _detected(self, found: Detections) -> tuple[Floats, Floats]:
        outlines, scores = self._outlines(found), found.scores.astype(np.float64)
        kept = np.arange(len(scores))
        if self._config.label is not None:
            kept = np.flatnonzero(found.labels == self._config.label)
        kept = kept[np.argsort(-scores[kept], kind="stable")][: self._config.max_detections]
        return outlines[kept], scores[kept]

    def _outlines(self, found: Detections) -> Floats:
        """Return what was found as rows of the judged kind."""
        boxes = found.boxes_xyxy_px.astype(np.float64)
        if self._config.boxes == "upright":
            return boxes
        if self._config.boxes == "points":
            middles = (boxes[:, :2] + boxes[:, 2:]) / 2.0 if found.points_px is None else found.points_px
            return np.column_stack([middles, np.hypot(*(boxes[:, 2:] - boxes[:, :2]).T)]).astype(np.float64)
        if found.rotated_boxes is not None:
            return found.rotated_boxes.astype(np.float64)
        if len(boxes):
            raise DatasetError(
                f"sample {found.key}: the detector gives no rotated boxes, so boxes={self._config.boxes} cannot be"
                " judged: set boxes=upright"
            )
        return np.zeros((0, 5))

    def _units(self, state: State) -> Units:
        by_image = self._config.resample == "image"
        return Units.of(state["image"] if by_image else sequences_of(state["sequence"], state["image"]))

    def _basis(self, seen: Set, judged: Judged, score: float) -> _Basis:
        config, state = self._config, seen.state
        units = self._units(state)
        return _Basis(
            score=score,
            draws=units.draws(self._runtime.seeds.stream("bootstrap"), config.bootstrap),
            count=len(np.unique(state["image"])),
            definition=self._definition(seen, judged, score, units),
            cautions=units.caution(config.resample) if config.bootstrap else (),
        )

    def _results(self, part: str, rankings: Mapping[float, Ranked], basis: _Basis) -> list[MetricResult]:
        """Return precision, recall and F1, and AP (of parts at ``iou`` and COCO's) unless nothing was to be found."""
        main, draws = rankings[self._config.iou], basis.draws
        values, spread = _at_score(main, basis)
        results = [
            self._result(name, self._where, part, values[column], spread[:, column], basis)
            for column, name in enumerate(_AT_SCORE)
        ]
        if not main.truths.any():  # average precision is not defined
            return results
        levels = self._levels(part)
        # Ten averages of each part would take longer than all the rest, and say little more.
        told = [where for where, ious in levels.items() if not part or len(ious) == 1]
        few = draws[: max(_LEAST_RESAMPLES, _MOST_RESAMPLED // max(len(main.scores), 1))]
        resampled = {iou: rankings[iou].resampled_precision(few) for where in told for iou in levels[where]}
        for where, ious in levels.items():
            value = np.concatenate([rankings[iou].precision_at_recalls() for iou in ious]).mean()
            detail = {"iou": where.partition("=")[2], "interpolation": "101 recall points (COCO)"}
            spread = np.mean([resampled[iou] for iou in ious], axis=0) if where in told else np.zeros(0)
            of_ap = attrs.evolve(basis, definition={**basis.definition, **detail})
            results.append(self._result("ap", where, part, value, spread, of_ap))
        return results

    def _levels(self, part: str) -> Mapping[str, Sequence[float]]:
        """Return the agreements over which average precision is averaged, by how that is written."""
        single = (self._config.iou,) if part else sorted(set(self._config.ap_ious))
        levels: dict[str, Sequence[float]] = {f"iou={iou:.2f}": (iou,) for iou in single}
        if self._config.coco:
            levels["iou=0.50:0.95"] = COCO_IOUS
        return levels

    def _count_error(self, main: Ranked, basis: _Basis) -> MetricResult:
        """Return the mean over images of how far the number of finds is off the number of people."""
        counts = main.counts(basis.score)
        errors = np.abs(counts[:, 1] - counts[:, 2])
        spread = (basis.draws @ errors) / basis.draws.sum(axis=1)
        return self._result("count_mae", "", "", errors.mean(), spread, basis, better="lower")

    def _result(
        self,
        name: str,
        where: str,
        part: str,
        value: float,
        spread: Floats,
        basis: _Basis,
        better: Literal["higher", "lower"] = "higher",
    ) -> MetricResult:
        return MetricResult(
            name=self._named(name, where),
            value=float(value),
            better=better,
            count=basis.count,
            definition=basis.definition,
            interval=interval(spread),
            part=part,
            cautions=basis.cautions,
        )

    @property
    def _where(self) -> str:
        return f"iou={self._config.iou:.2f}"

    def _named(self, name: str, where: str) -> str:
        kind = "" if self._config.boxes == "upright" else self._config.boxes
        if kind == "points":
            where = where.replace("iou", "agreement")
        about = ", ".join(word for word in (self._config.people or self._config.target, kind, where) if word)
        return f"{name}[{about}]"

    def _definition(self, seen: Set, judged: Judged, score: float, units: Units) -> dict[str, Any]:
        config = self._config
        resampled = f"{units.count} {config.resample}s, up to {config.bootstrap} resamples"
        some = {"people": config.people, "finds_of_others": config.others} if config.people else {}
        return {
            "target": config.target,
            **some,
            "label": "all" if config.label is None else config.label,
            "boxes": config.boxes,
            "iou": config.iou,
            "score_threshold": score,
            "score_threshold_chosen_by": self._chosen_by,
            "max_detections": config.max_detections,
            "min_box_px": config.min_box_px,
            "min_visible": config.min_visible,
            "images": len(seen.state["truths"]),
            "truths": int(judged.needed.sum()),
            "optional_truths": int((~judged.needed).sum()),
            "unlabelled_images_left_out": int(seen.state["unlabelled"][0]),
            "interval": f"95 % percentile bootstrap over {resampled}",
        }


def _at_score(main: Ranked, basis: _Basis) -> tuple[Floats, Floats]:
    """Return precision, recall and F1, (3,), and those of each resample, (resamples, 3)."""
    counts = main.counts(basis.score)
    values, spread = precision_recall_f1(counts.sum(axis=0)), precision_recall_f1(basis.draws @ counts)
    if main.truths.any():  # resamples without anybody say nothing about finding people
        spread[basis.draws @ main.truths == 0] = np.nan
    return values, spread


def _frame(sample: Sample) -> Frame:
    """Return where straight below the camera is in the image, and half the image's shorter side, in pixels."""
    x, y = nadir_px(sample).tolist()
    return x, y, min(sample.size_px) / 2.0


def _given_score(config: DetectionConfig, checkpoint: Checkpoint | None) -> tuple[float | None, str]:
    """Return the score threshold, None where the judged set is to tell it, and who chose it."""
    if config.score is not None:
        return config.score, "given"
    trained = None if checkpoint is None else checkpoint.card.get("operating_score")
    if isinstance(trained, int | float) and 0 <= trained <= 1:
        return float(trained), "training: operating_score of the checkpoint"
    return None, "best F1 on the judged set"
