# SPDX-License-Identifier: Apache-2.0
"""The weights that fidelity metrics are defined by: which file, from where, and how it is known to be that file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from synthkit.weights import REGISTRY, Pretrained

_IMAGENET = "trained on ImageNet, whose terms are for research"


def _dinov2(size: str, sha256: str) -> Pretrained:
    file = f"dinov2_vit{size}14_pretrain.pth"
    return Pretrained(
        name=f"dinov2_vit{size}14",
        file=file,
        sha256=sha256,
        architecture=f"DINOv2 ViT-{size.upper()}/14 without registers, its authors' parameter names",
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/dinov2",
        url=f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{size}14/{file}",
    )


INCEPTION = Pretrained(
    name="inception-2015-12-05",
    file="pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    architecture="Inception v3 of TensorFlow's graph of 2015-12-05 in PyTorch, 1008 classes",
    licence=f"Apache-2.0 (TensorFlow models; converted by pytorch-fid); {_IMAGENET}",
    source="https://github.com/mseitzer/pytorch-fid",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)
CLIP = Pretrained(
    name="clip-vit-b-32",
    file="ViT-B-32.pt",
    sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    architecture="CLIP ViT-B/32, its image side, OpenAI's parameter names",
    licence="MIT (OpenAI); trained on 400 million pairs from the web that are not published",
    source="https://github.com/openai/CLIP",
    url="https://openaipublic.azureedge.net/clip/models/"
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
)
DINOV2_S = _dinov2("s", "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9")
DINOV2_B = _dinov2("b", "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73")
DINOV2_L = _dinov2("l", "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428")

PUBLISHED: Mapping[str, Pretrained] = MappingProxyType(
    {
        "inception": INCEPTION,
        "clip": CLIP,
        "dinov2_vits14": DINOV2_S,
        "dinov2_vitb14": DINOV2_B,
        "dinov2_vitl14": DINOV2_L,
        **{name: REGISTRY[name] for name in ("mobilenet_v2", "squeezenet1_1", "vgg16")},
    }
)
"""The weights by the name that the setting ``extractor`` takes."""
