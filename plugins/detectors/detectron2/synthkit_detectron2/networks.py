# SPDX-License-Identifier: Apache-2.0
"""The two networks of an installed detectron2; imported when they are built."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit.errors import PluginError, WeightsError
from synthkit_detectron2 import weights
from synthkit_detectron2.config import Detectron2Config

MESH = "smpl_27554"
"""What DensePose calls the mesh of people."""

PERSON = "person"

_MISSING = (
    "detector 'detectron2' needs {what}, which is not installed and is on no package index. Into this environment:"
    " pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2{part}"
    " (docs/finding.md tells more)"
)
_DENSEPOSE = "#subdirectory=projects/DensePose"

# R_101_FPN_DL_soft_s1x of DensePose's model zoo, whose files are in its repository, but in no package of it.
_CSE: Mapping[str, Any] = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.RESNETS.DEPTH": 101,
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "MODEL.DENSEPOSE_ON": True,
    "MODEL.ROI_HEADS.NAME": "DensePoseROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.NUM_CLASSES": 1,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_DENSEPOSE_HEAD.NAME": "DensePoseDeepLabHead",
    "MODEL.ROI_DENSEPOSE_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_DENSEPOSE_HEAD.NUM_COARSE_SEGM_CHANNELS": 2,
    "MODEL.ROI_DENSEPOSE_HEAD.PREDICTOR_NAME": "DensePoseEmbeddingPredictor",
    "MODEL.ROI_DENSEPOSE_HEAD.LOSS_NAME": "DensePoseCseLoss",
    "MODEL.ROI_DENSEPOSE_HEAD.CSE.EMBED_LOSS_NAME": "SoftEmbeddingLoss",
}
_EMBEDDER: Mapping[str, Any] = {
    "TYPE": "vertex_feature", "NUM_VERTICES": 27_554, "FEATURE_DIM": 256, "FEATURES_TRAINABLE": False,
    "IS_TRAINABLE": True, "INIT_FILE": "",
}  # fmt: skip


@attrs.frozen(eq=False)
class Network:
    """A network, and what it wants to see.

    Args:
        model: in evaluation. bgr: whether it takes blue first. shorter_px, longer_px: sides of what it sees.
        people: which of its classes are people.
    """

    model: torch.nn.Module
    bgr: bool
    shorter_px: int
    longer_px: int
    people: int = 0

    @torch.no_grad()
    def look(self, image: npt.NDArray[np.uint8]) -> Any:
        """Return what it gives of an image (H, W, 3) sRGB: detectron2's ``Instances``, in the image's pixels."""
        from detectron2.data.transforms import ResizeShortestEdge

        height, width = image.shape[:2]
        seen = image[:, :, ::-1] if self.bgr else image
        resize = ResizeShortestEdge([self.shorter_px, self.shorter_px], self.longer_px)
        pixels = resize.get_transform(seen).apply_image(np.ascontiguousarray(seen))
        tensor = torch.as_tensor(pixels.astype(np.float32).transpose(2, 0, 1))
        return self.model([{"image": tensor, "height": height, "width": width}])[0]["instances"]

    def embeddings(self) -> torch.Tensor:
        """Return where each vertex of the mesh is in the space of CSE's embeddings, (27554, D) float32.

        Raises:
            WeightsError: when the network has none.
        """
        embedder = getattr(getattr(self.model, "roi_heads", None), "embedder", None)
        if embedder is None or not embedder.has_embeddings(MESH):
            raise WeightsError(f"surface_config: is of no DensePose CSE with the mesh {MESH}")
        with torch.no_grad():
            found: torch.Tensor = embedder(MESH).float().cpu()
        if not bool(torch.isfinite(found).all()) or not bool(found.any()):
            raise WeightsError(f"surface_weights: has no embeddings of the vertices of {MESH}")
        return found


def require(*, densepose: bool) -> None:
    """Check that what is needed is installed.

    Raises:
        PluginError: telling how to install it.
    """
    for package, what, part in (("detectron2", "detectron2", ""), ("densepose", "DensePose", _DENSEPOSE)):
        if (package == "detectron2" or densepose) and importlib.util.find_spec(package) is None:
            raise PluginError(_MISSING.format(what=what, part=part))


def mask_network(config: Detectron2Config, device: torch.device) -> Network:
    """Return Mask R-CNN with its weights.

    Raises:
        PluginError, WeightsError: when detectron2, the config or the weights are missing or do not fit.
    """
    require(densepose=False)
    from detectron2 import model_zoo
    from detectron2.config import get_cfg

    cfg = get_cfg()
    told = f"mask_model {config.mask_model}" if config.mask_config is None else f"mask_config {config.mask_config}"
    try:
        path = model_zoo.get_config_file(config.mask_model) if config.mask_config is None else str(config.mask_config)
        cfg.merge_from_file(path, allow_unsafe=False)
    except Exception as error:  # whatever yaml and detectron2 come upon
        raise WeightsError(f"{told}: cannot be read: {_first(error)}") from None
    if not cfg.MODEL.MASK_ON:
        raise WeightsError(f"{told}: is of a network without masks")
    return _built(cfg, config, config.mask_weights, device)


def surface_network(config: Detectron2Config, device: torch.device) -> Network:
    """Return DensePose CSE with its weights.

    Raises:
        PluginError, WeightsError: when DensePose, the config or the weights are missing or do not fit.
    """
    assert config.surface_weights is not None
    require(densepose=True)
    from densepose import add_densepose_config
    from detectron2.config import CfgNode, get_cfg

    cfg = get_cfg()
    add_densepose_config(cfg)
    if config.surface_config is None:
        cfg.merge_from_list([item for pair in _CSE.items() for item in pair])
        cfg.MODEL.ROI_DENSEPOSE_HEAD.CSE.EMBEDDERS = CfgNode({MESH: CfgNode(dict(_EMBEDDER))})
    else:
        try:
            cfg.merge_from_file(str(config.surface_config), allow_unsafe=False)
        except Exception as error:  # whatever yaml and detectron2 come upon
            raise WeightsError(f"surface_config {config.surface_config}: cannot be read: {_first(error)}") from None
    for spec in cfg.MODEL.ROI_DENSEPOSE_HEAD.CSE.EMBEDDERS.values():
        spec.INIT_FILE = ""  # a pickle; what is in it is in the weights
    return _built(cfg, config, config.surface_weights, device)


def _built(cfg: Any, config: Detectron2Config, path: Path, device: torch.device) -> Network:
    from detectron2.modeling import build_model

    found = weights.read(path)
    cfg.MODEL.WEIGHTS = ""  # which DensePose would unpickle by itself
    cfg.MODEL.DEVICE = str(device)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = config.score
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    try:
        model = build_model(cfg).eval()
    except Exception as error:  # whatever a config asks for
        raise WeightsError(f"{path}: no network can be built by the config: {_first(error)}") from None
    weights.load_into(model, found, path)
    return Network(model, cfg.INPUT.FORMAT == "BGR", config.shorter_px, config.longer_px)


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
