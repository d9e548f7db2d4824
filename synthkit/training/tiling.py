# SPDX-License-Identifier: Apache-2.0
"""Applying a convolutional network to images of any size in tiles, as if there were none.

A network whose normalisation looks at the whole image (instance normalisation, Ulyanov et al. 2016) cannot be
applied tile by tile: each tile would be normalised by itself, and neighbours would differ along their border. So
it is applied layer by layer. Between convolutions the whole flow lies on the host; the device gets one tile of it
at a time, with as much around it as the convolution looks at; and what a normalisation needs to know of the whole
is gathered from the tiles by the parallel algorithm of Chan, Golub and LeVeque (Updating formulae and a pairwise
algorithm for computing sample variances, 1979). What a tile's result depends on is exactly what it depends on
without tiles; only roundings differ.

The device holds a tile of one convolution's input and output, whatever the size of the image; the host holds two
or three whole flows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import attrs
import torch
from torch import nn
from torch.nn import functional

_NAMED = ("same", "valid")  # paddings
Span = tuple[int, int]  # from, to
Tile = tuple[Span, Span]


@attrs.frozen(eq=False)
class Added:
    """Layers whose result is added to what goes into them."""

    layers: Sequence[nn.Module]


def apply(layers: Sequence[nn.Module | Added], image: torch.Tensor, tile_px: int, device: torch.device) -> torch.Tensor:
    """Return what layers, one after the other, make of an image.

    Args:
        layers: on ``device``: Conv2d and ConvTranspose2d (ungrouped, undilated), AvgPool2d (unpadded), Upsample (twice
            as large, nearest or bilinear), ReflectionPad2d before a layer without padding, normalisation of each
            channel over the image (InstanceNorm2d, or GroupNorm with as many groups as channels; without weights of
            its own), and activations.
        image: (C, H, W) on the host. tile_px: greatest side of what a layer makes at a time.
        device: that of the layers.

    Returns:
        (C', H', W') on the host.

    Raises:
        TypeError: for layers of another kind.
    """
    with torch.inference_mode():
        return _settled(_run(layers, _Flow(image.clone()), tile_px, device), tile_px, device)


@attrs.define(eq=False)
class _Flow:
    """What flows between layers.

    Args:
        values: (C, H, W) on the host, before ``pointwise``. pointwise: what is still to be done to each value, on
            the device, when it is read next. pad: how far the image is mirrored beyond its rim.
    """

    values: torch.Tensor
    pointwise: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = ()
    pad: int = 0

    def read(self, rows: Span, columns: Span, device: torch.device) -> torch.Tensor:
        """Return a part (1, C, h, w) on the device; spans count from the rim of the padding."""
        part = self.values[:, _mirrored(rows, self.pad, self.values.shape[1])]
        part = part[:, :, _mirrored(columns, self.pad, self.values.shape[2])].to(device)[None]
        for change in self.pointwise:
            part = change(part)
        return part

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, padding counted."""
        return self.values.shape[1] + 2 * self.pad, self.values.shape[2] + 2 * self.pad


def _mirrored(span: Span, pad: int, length: int) -> torch.Tensor | slice:
    """Return where the places of a span come from, mirrored at the ends as ReflectionPad2d does."""
    if pad <= span[0] and span[1] <= length + pad:
        return slice(span[0] - pad, span[1] - pad)
    places = (torch.arange(*span) - pad).abs()
    return torch.where(places < length, places, 2 * (length - 1) - places)


def _run(layers: Sequence[nn.Module | Added], flow: _Flow, tile_px: int, device: torch.device) -> _Flow:
    for layer in layers:
        flow = _step(layer, flow, tile_px, device)
    return flow


def _step(layer: nn.Module | Added, flow: _Flow, tile_px: int, device: torch.device) -> _Flow:
    if isinstance(layer, Added):
        base = _settled(flow, tile_px, device)
        made = _run(layer.layers, _Flow(base), tile_px, device)
        for (rows, columns), part in _parts(made, tile_px, device):
            base[:, slice(*rows), slice(*columns)] += part.cpu()
        return _Flow(base)
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.AvgPool2d | nn.Upsample):
        return _filtered(layer, flow, tile_px, device)
    if isinstance(layer, nn.ReflectionPad2d) and len(set(layer.padding)) == 1:
        return attrs.evolve(flow, pad=flow.pad + layer.padding[0])
    if _normalises(layer):
        return attrs.evolve(flow, pointwise=(*flow.pointwise, _normalisation(layer, flow, tile_px, device)))
    if isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.Tanh):
        # The host's values may be what is read, and an activation may work in place.
        change = layer if flow.pointwise else lambda part: layer(part.clone())
        return attrs.evolve(flow, pointwise=(*flow.pointwise, change))
    raise TypeError(f"cannot be applied in tiles: {layer}")


def _settled(flow: _Flow, tile_px: int, device: torch.device) -> torch.Tensor:
    """Return the values of a flow with all done to them that was to be done."""
    if not flow.pointwise and not flow.pad:
        return flow.values
    result = torch.empty(flow.values.shape[0], *flow.size)
    for (rows, columns), part in _parts(flow, tile_px, device):
        result[:, slice(*rows), slice(*columns)] = part.cpu()
    return result


def _parts(flow: _Flow, tile_px: int, device: torch.device) -> Iterator[tuple[Tile, torch.Tensor]]:
    for rows, columns in _tiles(flow.size, tile_px):
        yield (rows, columns), flow.read(rows, columns, device)[0]


def _tiles(size: tuple[int, int], tile_px: int) -> Iterator[Tile]:
    height, width = size
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            yield (top, min(top + tile_px, height)), (left, min(left + tile_px, width))


def _filtered(layer: nn.Module, flow: _Flow, tile_px: int, device: torch.device) -> _Flow:
    """Return what a layer makes that looks at the surroundings of each place."""
    axes = tuple(_axis(layer, number, length) for number, length in enumerate(flow.size))
    channels = getattr(layer, "out_channels", flow.values.shape[0])
    result = torch.empty(channels, axes[0].made, axes[1].made)
    for tile in _tiles((axes[0].made, axes[1].made), tile_px):
        spans = [axis.seen(span) for axis, span in zip(axes, tile, strict=True)]
        part = flow.read(spans[0][0], spans[1][0], device)
        (up, down), (left, right) = (lacking for _, lacking, _ in spans)
        made = _without_padding(layer, functional.pad(part, (left, right, up, down)))
        rows, columns = (
            slice(first, first + to - start) for (_, _, first), (start, to) in zip(spans, tile, strict=True)
        )
        result[:, slice(*tile[0]), slice(*tile[1])] = made[0, :, rows, columns].cpu()
    return _Flow(result)


def _without_padding(layer: nn.Module, part: torch.Tensor) -> torch.Tensor:
    if isinstance(layer, nn.ConvTranspose2d):
        return functional.conv_transpose2d(part, layer.weight, layer.bias, layer.stride)
    if isinstance(layer, nn.Conv2d) and layer.padding != (0, 0):
        return functional.conv2d(part, layer.weight, layer.bias, layer.stride)
    return layer(part)  # type: ignore[no-any-return]  # which may do it in a way of its own


class _Axis(Protocol):
    """How a layer acts along rows or columns."""

    @property
    def made(self) -> int:
        """The length of its output."""

    def seen(self, span: Span) -> tuple[Span, tuple[int, int], int]:
        """Return what of the input a part of the output depends on.

        Returns:
            The span of the input; how many zeros lie before and after it; and the place where the part of the
            output begins in what the layer makes of these without padding.
        """


def _axis(layer: nn.Module, axis: int, length: int) -> _Axis:
    """Return how a layer acts along axis 0 or 1 of an input so long.

    Raises:
        TypeError: for layers of another kind.
    """
    if isinstance(layer, nn.Upsample) and _doubles(layer):
        return _Doubling(length)
    if isinstance(layer, nn.AvgPool2d) and not any(_both(layer.padding)) and not layer.ceil_mode:
        return _Window(length, _both(layer.kernel_size)[axis], _both(layer.stride)[axis], 0)
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and _plain(layer):
        kernel, stride, padding = layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis])
        if isinstance(layer, nn.ConvTranspose2d):
            return _Spread(length, kernel, stride, padding, int(layer.output_padding[axis]))
        return _Window(length, kernel, stride, padding)
    raise TypeError(f"cannot be applied in tiles: {layer}")


def _plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    zeros = layer.padding_mode == "zeros" and layer.padding not in _NAMED
    return zeros and layer.groups == 1 and set(layer.dilation) == {1}


def _doubles(layer: nn.Upsample) -> bool:
    return layer.scale_factor == 2 and layer.mode in ("nearest", "bilinear") and not layer.align_corners


def _both(size: int | tuple[int, int]) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


@attrs.frozen
class _Window:
    """A convolution or pooling: output i is of the inputs from i * stride - padding on."""

    length: int
    kernel: int
    stride: int
    padding: int

    @property
    def made(self) -> int:
        return (self.length + 2 * self.padding - self.kernel) // self.stride + 1

    def seen(self, span: Span) -> tuple[Span, tuple[int, int], int]:
        low = span[0] * self.stride - self.padding
        high = (span[1] - 1) * self.stride - self.padding + self.kernel
        inner = max(low, 0), min(high, self.length)
        return inner, (inner[0] - low, high - inner[1]), 0


@attrs.frozen
class _Spread:
    """A transposed convolution: input i reaches outputs i * stride - padding to i * stride - padding + kernel - 1."""

    length: int
    kernel: int
    stride: int
    padding: int
    output_padding: int

    @property
    def made(self) -> int:
        return (self.length - 1) * self.stride - 2 * self.padding + self.kernel + self.output_padding

    def seen(self, span: Span) -> tuple[Span, tuple[int, int], int]:
        start, to = span
        low = max(0, (start + self.padding - self.kernel + 1) // self.stride)
        high = min(self.length, (to - 1 + self.padding) // self.stride + 1)
        # Where output padding reaches farther than any input, zeros stand for what is not there.
        lacking = max(0, to - (high - 1) * self.stride + self.padding - self.kernel)
        return (low, high), (0, -(-lacking // self.stride)), start + self.padding - low * self.stride


@attrs.frozen
class _Doubling:
    """Upsampling by 2: outputs 2 i and 2 i + 1 are of input i and, if they are interpolated, of those beside it."""

    length: int

    @property
    def made(self) -> int:
        return 2 * self.length

    def seen(self, span: Span) -> tuple[Span, tuple[int, int], int]:
        low, high = max(0, (span[0] - 1) // 2), min(self.length, span[1] // 2 + 1)
        return (low, high), (0, 0), span[0] - 2 * low


def _normalises(layer: nn.Module) -> bool:
    if isinstance(layer, nn.GroupNorm):
        return layer.num_groups == layer.num_channels and not layer.affine
    return isinstance(layer, nn.InstanceNorm2d) and not layer.affine and not layer.track_running_stats


def _normalisation(
    layer: nn.Module, flow: _Flow, tile_px: int, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the normalisation of each channel by its mean and variance over the whole flow."""
    count, mean, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for _, part in _parts(flow, tile_px, device):
        more, middle = part.shape[1] * part.shape[2], part.mean(dim=(1, 2), keepdim=True)
        within = torch.linalg.vector_norm(part - middle, dim=(1, 2)).cpu().double() ** 2
        gap, total = middle[:, 0, 0].cpu().double() - mean, count + more
        squares = squares + within + gap**2 * (count * more / total)
        mean, count = mean + gap * (more / total), total
    scale = 1 / torch.sqrt(squares / count + float(layer.eps))  # type: ignore[arg-type]
    factor, shift = (value.float().to(device)[:, None, None] for value in (scale, -mean * scale))
    return lambda part: torch.addcmul(shift, part, factor)
