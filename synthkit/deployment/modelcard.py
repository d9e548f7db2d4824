# SPDX-License-Identifier: Apache-2.0
"""A model's card for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthkit.deployment.cards import DetectorCard

_NETWORK_USAGE = """\
The file {name} holds the network alone: {shape} float32 pixels 0 to 255 go in, maps come out. The card beside it tells
how boxes are made of them; examples/embedded in synthkit does it in NumPy and in C.
"""
_COMPLETE_USAGE = """\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("{name}")
boxes, scores, labels, count = session.run(None, {{"{input}": image[np.newaxis]}})  # image: uint8 {shape} sRGB
boxes = boxes[0, : count[0]]  # in pixels of the input, best score first
"""


def usage(card: DetectorCard, name: str) -> str:
    """Return how a file is used."""
    width, height = card.input.size_px
    if card.output.boxes is not None:
        return _COMPLETE_USAGE.format(name=name, input=card.input.name, shape=(height, width, 3))
    return _NETWORK_USAGE.format(name=name, shape=(1, 3, height, width))


def markdown(card: Mapping[str, Any]) -> str:
    """Return a model's card as a page."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    detector = card["detector"]
    source, output = detector["input"], detector["output"]
    width, height = source["size_px"]
    yield f"# {card['file']}"
    yield ""
    yield f"Finds {', '.join(detector['classes'])} in images. sha256 `{card['sha256']}`."
    yield ""
    yield from _table("", {
        "form": f"{card['variant']}, {card['quantisation']}, opset {card['opset']}, IR version {card['ir_version']}",
        "made for": card["profile"],
        "then": card["next"],
        "checkpoint": f"sha256 {card.get('checkpoint_sha256')}",
        "licence": card.get("licence"),
    })  # fmt: skip
    yield from _table("Input", {
        "name": f"`{source['name']}`, {source['dtype']}, {source['layout']}, {width} x {height} pixels",
        "values": f"{source['colour']}, minus {_row(source['mean'])}, over {_row(source['deviation'])}",
        "other sizes": f"{source['fit']}, {source['grey']} around",
    })  # fmt: skip
    kind = next(name for name, table in output.items() if table is not None)
    yield from _table("Output", {
        "kind": kind,
        **{name: _row(value) if isinstance(value, list) else value for name, value in output[kind].items()},
        "least score": detector["score_threshold"],
        "best believed from": detector["operating_score"],
        "overlap of the filter": detector["nms_iou"],
    })  # fmt: skip
    yield from _budget(card["budget"])
    yield from _checks(card)
    yield from _table("Learned from", {
        role: f"{part['samples']} samples, fingerprint {part['fingerprint']}"
        for role, part in (card.get("data") or {}).items()
    })  # fmt: skip
    if card["findings"]:
        yield from ("## Findings", "", *(f"- {line}" for line in card["findings"]), "")


def _budget(budget: Mapping[str, Any]) -> Iterator[str]:
    yield from _table("What it costs a sensor", {
        "parameters": f"{budget['parameters']:,}",
        "multiplications": f"{budget['macs'] / 1e6:,.1f} million an image",
        "flash": f"{budget['flash_bytes']:,} bytes, of which weights {budget['weight_bytes']:,}",
        "memory of activations": f"{budget['peak_activation_bytes']:,} bytes at most, at {budget['peak_operator']}"
        " (in whole tensors, activations and quantisation in place)",
        "operators": ", ".join(f"{name} {count}" for name, count in budget["operators"].items()),
    })  # fmt: skip


def _checks(card: Mapping[str, Any]) -> Iterator[str]:
    checks, rows = card["checks"], {}
    for name, title in (("float", "float file and torch"), ("quantised", "8 bits and torch")):
        found = checks.get(name)
        if found:
            rows[title] = (
                f"{found['matched']:.1%} of {found['boxes']} boxes with a score of {found['score']:g} or more found"
                f" again, IoU {found['mean_iou']:.4f} in the mean and {found['least_iou']:.3f} at least, scores"
                f" {found['mean_score_difference']:.4f} apart in the mean and {found['largest_score_difference']:.3f}"
                " at most"
            )
    metrics = checks.get("metrics")
    if metrics:
        for when in ("before", "after"):
            part = metrics[when]
            rows[f"{when} quantisation"] = (
                f"precision {part['precision']:.3f}, recall {part['recall']:.3f}, F1 {part['f1']:.3f}"
                f" at score {part['score']:.3f}"
            )
    where = card["checked_on"]
    yield from _table(f"Compared on {where['images']} images ({where['fingerprint'][:12]})", rows)


def _table(title: str, rows: Mapping[str, Any]) -> Iterator[str]:
    rows = {name: value for name, value in rows.items() if value is not None}
    if not rows:
        return
    if title:
        yield from (f"## {title}", "")
    yield from ("| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items()), "")


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _row(values: Any) -> str:
    return ", ".join(_row(value) if isinstance(value, list) else f"{value:g}" for value in values)
