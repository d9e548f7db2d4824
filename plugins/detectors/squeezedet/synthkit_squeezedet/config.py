# SPDX-License-Identifier: Apache-2.0
"""The settings of the detectors ``squeezedet`` and ``squeezedet-plus``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import optional

from synthkit.config import When, at_least, between, setting
from synthkit.training.settings import TrainingSettings
from synthkit_detection.truth import Target

Sizes = tuple[tuple[float, float], ...]
NetworkName = Literal["squeezedet", "squeezedet-plus"]
BoxKind = Literal["upright", "rotated"]
BackboneName = Literal["auto", "none", "squeezenet1_1", "rendered"]

SHIPPED = "synthkit_squeezedet:weights/ceiling.safetensors"
"""The detector of people that comes with this package; ``ship_ceiling.py`` beside it says how it is made."""

STRIDE = 16
"""Pixels of the input from one cell of the network's output grid to the next."""

MOST_INPUT_PX = 4096
MOST_ANCHORS = 64
MOST_CLASSES = 64
"""What a detector may be, as settings and in the cards of checkpoints."""


def _whole_strides(_: Any, __: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    if any(not STRIDE <= side <= MOST_INPUT_PX or side % STRIDE for side in value):
        raise ValueError(f"width and height must be multiples of {STRIDE}, at most {MOST_INPUT_PX}, got {list(value)}")


def _positive_sizes(_: Any, __: attrs.Attribute[Any], value: Sizes) -> None:
    if not 1 <= len(value) <= MOST_ANCHORS or any(side <= 0 for size in value for side in size):
        raise ValueError(f"must be a list of 1 to {MOST_ANCHORS} [width, height] in pixels, all above 0")


def _attributes(_: Any, __: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for text in value:
        name, equals, wanted = text.partition("=")
        if not (name.strip() and equals and wanted.strip()):
            raise ValueError(f"must be a list of ATTRIBUTE=VALUE, such as posture=sitting, got {text!r}")
    if len(set(value)) < len(value) or len(value) > MOST_CLASSES:
        raise ValueError(f"must be at most {MOST_CLASSES} classes, all different, got {list(value)}")


_PUBLISHED_OPTIMIZER = When("optimizer is published", lambda config: config.optimizer == "published")


@attrs.frozen
class ObjectClass:
    """What one label stands for.

    Args:
        name: of the label. target: whose boxes. attribute, value: the people it is for, by ``Person.attributes``,
            the value as text; all where there is no attribute.
    """

    name: str
    target: Target
    attribute: str | None = None
    value: str = ""

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """Tell whether a person with these attributes is of this class."""
        return self.attribute is None or str(attributes.get(self.attribute)) == self.value


@attrs.frozen
class SqueezeDetConfig(TrainingSettings):
    """How SqueezeDet is trained and what it gives; where it differs from the release, ``help`` says so."""

    target: Literal["head", "person", "both"] = setting(
        "head",
        help="what to find: heads (as thesis 000), people by their visible pixels, or both as two classes",
        settled=True,
    )
    classes: tuple[str, ...] = setting(
        (),
        help="ATTRIBUTE=VALUE of the people to tell apart, such as [posture=sitting, posture=standing]: each is a class"
        " of its own instead of person, and people of none of them are not looked for; empty: all people are one class",
        validator=_attributes,
        settled=True,
    )
    boxes: Literal["upright", "rotated", "radial"] = setting(
        "upright",
        help="boxes of people: upright; rotated, the tightest at any angle; or radial, rotated boxes along the radius,"
        " of which the angle is learned as well",
        settled=True,
    )
    network: NetworkName = setting(
        "squeezedet",
        help="SqueezeDet, or SqueezeDet+ with 3.4 times as many parameters and 8 times the work",
        settled=True,
    )
    input_px: tuple[int, int] | None = setting(
        None,
        help="[width, height] of the network's input, multiples of 16; images are scaled and centred in it."
        " none takes the size of the first training image, at most 640 on the longer side",
        validator=optional(_whole_strides),
        settled=True,
    )
    anchors: Sizes | None = setting(
        None,
        help="[[width, height], ...] in pixels of the input, of rotated boxes [short, long]; none fits them to the"
        " training boxes",
        validator=optional(_positive_sizes),
        settled=True,
    )
    anchor_count: int | None = setting(
        None,
        help="how many anchors to fit (released: 9); none takes the fewest, up to 9, that overlap the training boxes by"
        " 0.65 in the mean: only one anchor learns from each object, and anchors alike compete for it",
        validator=optional(between(1, 32)),
    )
    anchor_centres: Literal["cells", "published"] = setting(
        "cells",
        help="where anchors lie: in the middle of their cells, or as released at i*W/(columns+1), up to half a"
        " stride off, which a convolution cannot make up for: small boxes lose overlap",
        settled=True,
    )
    backbone: BackboneName = setting(
        "auto",
        help="weights to start from: ImageNet's SqueezeNet 1.1 (its first layer stays fixed, as released); rendered:"
        " those of squeezedet-ceiling, which ships with this plugin and learned from renders; none; auto: SqueezeNet"
        " 1.1 where it can be had, else rendered; SqueezeDet+ has its own layers, for which no weights are to be had,"
        " and takes none",
    )
    backbone_file: Path | None = setting(
        None,
        help="file with ImageNet's SqueezeNet 1.1 (.pth or .safetensors with torchvision's names, .npz with Caffe's),"
        " instead of the published one that backbone squeezenet1_1 looks for",
        decides="content",
    )
    steps: int = setting(3000, help="training steps", validator=at_least(1))
    batch: int = setting(
        8,
        help="images per step (released: 20); the loss weighs objects against background by 1/batch, so small batches"
        " find them sooner",
        validator=at_least(1),
    )
    positives: int = setting(
        6,
        help="anchors that learn from each object, of those that overlap it about as much as the best one does"
        " (released: 1, which leaves each object little to teach and its neighbours at odds with it)",
        validator=at_least(1),
    )
    dropout: float = setting(
        0.0,
        help="share of fire11's activations that are dropped while the network learns (released: 0.5, against learning"
        " a small set by heart)",
        validator=between(0, 0.9),
    )
    optimizer: Literal["adamw", "published"] = setting(
        "adamw",
        help="AdamW, which finds people sooner, or as released: gradient descent with momentum, each tensor's gradient"
        " cut to a largest norm",
    )
    learning_rate: float | None = setting(
        None, help="the highest; none: 0.001, or as released 0.01", validator=optional(between(1e-8, 10))
    )
    schedule: Literal["cosine", "published"] = setting(
        "cosine",
        help="learning rate: a short rise and a cosine to zero over all steps, or as released halved every 10000 steps",
    )
    momentum: float = setting(
        0.9, help="of the published optimizer", validator=between(0, 0.999), when=_PUBLISHED_OPTIMIZER
    )
    weight_decay: float = setting(0.01, help="pull of every kernel to zero (released: 0.0001)", validator=at_least(0))
    clip: float = setting(
        1.0,
        help="published optimizer: largest norm of each tensor's gradient",
        validator=at_least(1e-6),
        when=_PUBLISHED_OPTIMIZER,
    )
    augmentation: Literal["ceiling", "published"] = setting(
        "ceiling",
        help="how training images vary: ceiling, by the settings from flip to mosaic; published: drift by KITTI's"
        " shares of the size, stretched back, half of them mirrored, and no more",
    )
    flip: bool = setting(True, help="mirror half of the training images")
    rotate_degrees: float = setting(
        180.0,
        help="turn training images by up to this much about the nadir; a ceiling camera has no up",
        validator=between(0, 180),
    )
    drift: float = setting(
        0.1, help="move training images by up to this fraction of their size", validator=between(0, 0.5)
    )
    zoom: float = setting(
        1.25, help="enlarge or shrink training images by up to this factor; 1: never", validator=between(1, 4)
    )
    colour: float = setting(
        0.3,
        help="vary exposure, white balance, saturation and gamma of training images by up to this share, the light's"
        " colour by half of it",
        validator=between(0, 0.9),
    )
    noise: float = setting(
        0.03,
        help="add sensor noise of up to this share of white, grain in half of the images",
        validator=between(0, 0.5),
    )
    mosaic: float = setting(
        0.0, help="share of training images that are put together from four, each in a corner", validator=between(0, 1)
    )
    precision: Literal["auto", "float32", "tfloat32", "bfloat16"] = setting(
        "auto",
        help="of convolutions in training; auto takes bfloat16 where the processor has matrix units for it, else"
        " float32; tfloat32 is of NVIDIA GPUs. Detection is always float32",
    )
    evaluate_every: int = setting(
        250,
        help="steps between evaluations on the validation set; the best F1 is kept",
        validator=at_least(1),
    )
    score_threshold: float = setting(0.005, help="least score of a detection", validator=between(1e-4, 1))
    nms_iou: float = setting(
        0.4, help="of detections that overlap more than this the best remains", validator=between(0, 1)
    )
    four_looks: bool = setting(
        False,
        help="look at each image four times, a quarter turn on each time, and average what is found: surer and better"
        " boxes for four times the work; ONNX files look once",
    )

    def __attrs_post_init__(self) -> None:
        if self.classes and self.target == "head":
            raise ValueError("classes: tell people apart by their attributes, but target is head: use person or both")
        if self.network == "squeezedet-plus" and (self.backbone_file or self.backbone not in ("auto", "none")):
            raise ValueError("backbone: SqueezeDet+ has other layers than SqueezeNet 1.1: use none")
        if self.backbone_file and self.backbone not in ("auto", "squeezenet1_1"):
            raise ValueError(f"backbone_file: is not for backbone {self.backbone}")
        if self.boxes != "upright" and self.augmentation == "published":
            raise ValueError(
                "augmentation: the published one stretches images, which leaves no rotated box: use ceiling"
            )

    @property
    def object_classes(self) -> tuple[ObjectClass, ...]:
        """The classes, in the order of their labels."""
        people = [ObjectClass("person", "person")]
        if self.classes:
            parts = [text.partition("=") for text in self.classes]
            people = [ObjectClass(f"{n.strip()}={v.strip()}", "person", n.strip(), v.strip()) for n, _, v in parts]
        heads = [ObjectClass("head", "head")]
        return tuple({"head": heads, "person": people, "both": heads + people}[self.target])
