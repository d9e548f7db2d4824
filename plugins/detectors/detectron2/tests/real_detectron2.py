# SPDX-License-Identifier: Apache-2.0
"""Runs the detector with real detectron2 code and small networks of random weights; started by ``test_real.py``.

usage: real_detectron2.py FOLDER        prints a line of JSON of what was found
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch


def with_torchvision() -> None:
    """Import a torchvision whose compiled part does not fit this torch, with what detectron2 needs of it in Python."""
    register = torch.library.register_fake
    torch.library.register_fake = lambda *_, **__: lambda function: function
    import torchvision

    torch.library.register_fake = register
    torchvision.ops.nms = torchvision.ops.boxes.nms = nms


def nms(boxes, scores, iou_threshold):
    """Return which boxes remain, the best first."""
    kept, order = [], scores.argsort(descending=True)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = torch.max(boxes[best, :2], boxes[order, :2]), torch.min(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
        order = order[shared <= iou_threshold * (areas[best] + areas[order] - shared)]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)


SMALL = """
TEST: {DETECTIONS_PER_IMAGE: 4}
MODEL:
  WEIGHTS: ""
  RESNETS: {DEPTH: 50, STEM_OUT_CHANNELS: 8, RES2_OUT_CHANNELS: 8, WIDTH_PER_GROUP: 4,
            OUT_FEATURES: [res2, res3, res4, res5]}
  FPN: {OUT_CHANNELS: 16}
  RPN: {POST_NMS_TOPK_TEST: 20, PRE_NMS_TOPK_TEST: 50}
  ROI_BOX_HEAD: {FC_DIM: 32}
  ROI_MASK_HEAD: {CONV_DIM: 16, NUM_CONV: 1}
"""
MASKS = "_BASE_: {base}" + SMALL
SURFACES = """
TEST: {DETECTIONS_PER_IMAGE: 4}
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  BACKBONE: {NAME: build_resnet_fpn_backbone}
  WEIGHTS: ""
  RESNETS: {DEPTH: 50, STEM_OUT_CHANNELS: 8, RES2_OUT_CHANNELS: 8, WIDTH_PER_GROUP: 4,
            OUT_FEATURES: [res2, res3, res4, res5]}
  FPN: {OUT_CHANNELS: 16, IN_FEATURES: [res2, res3, res4, res5]}
  ANCHOR_GENERATOR: {SIZES: [[32], [64], [128], [256], [512]], ASPECT_RATIOS: [[0.5, 1.0, 2.0]]}
  RPN: {IN_FEATURES: [p2, p3, p4, p5, p6], POST_NMS_TOPK_TEST: 20, PRE_NMS_TOPK_TEST: 50}
  DENSEPOSE_ON: true
  ROI_HEADS: {NAME: DensePoseROIHeads, IN_FEATURES: [p2, p3, p4, p5], NUM_CLASSES: 1}
  ROI_BOX_HEAD: {NAME: FastRCNNConvFCHead, NUM_FC: 1, FC_DIM: 32, POOLER_RESOLUTION: 7}
  ROI_DENSEPOSE_HEAD:
    NAME: DensePoseV1ConvXHead
    DECODER_CONV_DIMS: 16
    DECODER_NUM_CLASSES: 16
    NUM_STACKED_CONVS: 1
    CONV_HEAD_DIM: 16
    NUM_COARSE_SEGM_CHANNELS: 2
    PREDICTOR_NAME: DensePoseEmbeddingPredictor
    LOSS_NAME: DensePoseCseLoss
    CSE:
      EMBEDDERS:
        smpl_27554:
          {TYPE: vertex_feature, NUM_VERTICES: 27554, FEATURE_DIM: 8, FEATURES_TRAINABLE: false, IS_TRAINABLE: true,
           INIT_FILE: ""}
DATASETS: {TRAIN: [x], TEST: [x]}
"""


_DECIDED = ("anchor_deltas", "bbox_pred", "cls_score", "mask_head.predictor", "coarse_segm_lowres")


def random_weights(model, path: Path) -> None:
    """Save a network's weights as detectron2's model zoo does, a pickle of arrays: it sees people, and nothing else."""
    draw = np.random.default_rng(3)
    found = {name: value.numpy() for name, value in model.state_dict().items()}
    for name in found:
        if "embedder" in name:
            found[name] = draw.normal(size=found[name].shape).astype(np.float32)
        if any(part in name for part in _DECIDED):
            found[name] = np.zeros_like(found[name])  # boxes are anchors, and each is full of a person
        if name.endswith("mask_head.predictor.bias"):
            found[name][:] = 5
        if name.endswith("cls_score.bias"):
            found[name][0] = 5
        if name.endswith("coarse_segm_lowres.bias"):
            found[name][1] = 5
    path.write_bytes(pickle.dumps({"model": found, "__author__": "nobody"}, protocol=2))


def main(folder: Path) -> None:
    with_torchvision()
    from detectron2 import model_zoo
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    from synthkit import finds
    from synthkit.interfaces import Runtime
    from synthkit.sample import Sample
    from synthkit.seeds import Seeds
    from synthkit_detectron2.config import Detectron2Config
    from synthkit_detectron2.detector import Detectron2Detector

    torch.manual_seed(0)
    base = model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml")
    (folder / "masks.yaml").write_text(MASKS.replace("{base}", base))
    (folder / "surfaces.yaml").write_text(SURFACES)
    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "masks.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    random_weights(build_model(cfg), folder / "masks.pkl")
    settings = {"mask_weights": folder / "masks.pkl", "mask_config": folder / "masks.yaml"}
    densepose = importlib.util.find_spec("densepose") is not None
    if densepose:
        sys.modules.setdefault("av", MagicMock())  # by which it would read videos to train on
        from densepose import add_densepose_config

        cfg = get_cfg()
        add_densepose_config(cfg)
        cfg.merge_from_file(str(folder / "surfaces.yaml"))
        cfg.MODEL.DEVICE = "cpu"
        random_weights(build_model(cfg), folder / "surfaces.pkl")
        settings |= {"surface_weights": folder / "surfaces.pkl", "surface_config": folder / "surfaces.yaml"}
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    sample = Sample(key="noise", image=image)
    told = {"densepose": densepose}
    for name, score in (("some", 0.0), ("none", 1.0)):
        config = Detectron2Config(**settings, score=score, iou=0.01, shorter_px=96, longer_px=160, lookup_px=24)
        with Detectron2Detector(config, None, Runtime(Seeds(0), folder)) as detector:
            (answer,) = detector.detect([sample])
            (again,) = detector.detect([sample])
            side = finds.sidecar_of(answer, sample, detector.class_names, detector.operating_score)
        assert np.array_equal(answer.boxes_xyxy_px, again.boxes_xyxy_px)
        layers = {name: [int(value.max()), int((value > 0).sum())] for name, value in side.layers.items()}
        told[name] = {"people": len(side.people), "layers": layers}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
