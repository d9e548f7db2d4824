# SPDX-License-Identifier: Apache-2.0
"""The vision transformers of CLIP and DINOv2 (Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_HEAD = 64  # channels of an attention head, in both families


class ClipVisual(nn.Module):
    """The image side of CLIP (Radford et al. 2021), with the names of OpenAI's file after ``visual.``.

    Args:
        width, depth, patch_px, side_px, features: by default those of ViT-B/32.
    """

    def __init__(
        self, width: int = 768, depth: int = 12, patch_px: int = 32, side_px: int = 224, features: int = 512
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch_px, patch_px, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty((side_px // patch_px) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*(_ClipBlock(width) for _ in range(depth)))})
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, features))
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, features) of (N, 3, side, side) normalised images."""
        tokens = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(tokens), 1, -1)
        tokens = self.ln_pre(torch.cat([first, tokens], dim=1) + self.positional_embedding)
        tokens = self.transformer["resblocks"](tokens)
        summary: torch.Tensor = self.ln_post(tokens[:, 0])
        return summary @ self.proj


class _ClipBlock(nn.Module):
    """Attention and a perceptron, each after its normalisation and added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = _ClipAttention(width)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.ln_1(tokens))
        wide = self.mlp["c_fc"](self.ln_2(tokens))
        # The approximation of GELU that the weights were trained with.
        narrow: torch.Tensor = self.mlp["c_proj"](wide * torch.sigmoid(1.702 * wide))
        return tokens + narrow


class _ClipAttention(nn.Module):
    """Attention with the names of ``nn.MultiheadAttention``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out_proj(_attention(F.linear(tokens, self.in_proj_weight, self.in_proj_bias)))
        return found


class DinoV2(nn.Module):
    """DINOv2's encoder (Oquab et al. 2023) with its file's names, for square images of whole patches of 14 px.

    Args:
        width, depth: 384 and 12 of ViT-S, 768 and 12 of ViT-B, 1024 and 24 of ViT-L.
        trained_px: side of the images for which the file has positions; others are interpolated from these.
    """

    PATCH_PX = 14

    def __init__(self, width: int, depth: int, trained_px: int = 518) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, (trained_px // self.PATCH_PX) ** 2 + 1, width))
        patches = nn.Conv2d(3, width, self.PATCH_PX, self.PATCH_PX)
        self.patch_embed = nn.ModuleDict({"proj": patches})
        self.blocks = nn.Sequential(*(_DinoBlock(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, width): the class token of (N, 3, side, side) normalised images."""
        tokens = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = self.blocks(tokens + self._positions(images.shape[-1] // self.PATCH_PX))
        first: torch.Tensor = self.norm(tokens[:, 0])
        return first

    def _positions(self, side: int) -> torch.Tensor:
        trained = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if side == trained:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
        # The published code scales by a tenth of a patch more than it should; the scores of others rest on that.
        scale = (side + 0.1) / trained
        grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class _DinoBlock(nn.Module):
    """As CLIP's, with both branches scaled channel by channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.ls1, self.ls2 = _scale(width), _scale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.attn["proj"](_attention(self.attn["qkv"](self.norm1(tokens))))
        tokens = tokens + self.ls1["gamma"] * attended
        wide = F.gelu(self.mlp["fc1"](self.norm2(tokens)))
        narrow: torch.Tensor = self.mlp["fc2"](wide)
        scaled: torch.Tensor = self.ls2["gamma"] * narrow
        return tokens + scaled


def _scale(width: int) -> nn.ParameterDict:
    return nn.ParameterDict({"gamma": nn.Parameter(torch.ones(width))})


def _attention(joint: torch.Tensor) -> torch.Tensor:
    """Return (N, T, C) attended values of (N, T, 3 C) queries, keys and values."""
    count, length, width = joint.shape
    query, key, value = joint.view(count, length, 3, width // (3 * _HEAD), _HEAD).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(count, length, width // 3)
