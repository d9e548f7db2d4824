# SPDX-License-Identifier: Apache-2.0
"""The networks that make people beside StyleGAN2's published code without its CUDA kernels: images per second.

    python benchmarks/anonymizer.py                   ours alone
    python benchmarks/anonymizer.py --peer PATH       beside a checkout of NVlabs/stylegan2-ada-pytorch
    python benchmarks/anonymizer.py --quick           small networks, within a minute
    python benchmarks/anonymizer.py --device cuda     on a GPU; there too the peer's plain PyTorch

Decoder and synthesis network, and both discriminators, have the same layers and widths for square images, which are all
that the peer knows, float32 both. Ours also adds the encoder's features at each resolution; the encoder itself, which
the peer has not, is left out. People are made by our layers for inference (``quick``), as the refiner makes them. A
training step is the discriminator's and then the generator's: forwards and backwards, without penalties and optimizers.
Variants take turns, so that a busy machine slows all alike, and the first turn is left out. Of layers with the same
weights the results are compared. The peer's licence allows no commercial use; nothing of it is here.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import torch
from reporting import Result, report
from torch import nn
from torch.nn import functional

from synthkit_anonymizer_gan.discriminator import SEEN, Discriminator
from synthkit_anonymizer_gan.modulation import ModulatedConvolution
from synthkit_anonymizer_gan.networks import Decoder, sizes_of, widths_of
from synthkit_anonymizer_gan.quick import quicken

PEER = "NVlabs/stylegan2-ada-pytorch"
GOAL = 1.3
"""How many times faster than the peer."""

ALONE, TOGETHER, TRAINED = "made one by one", "made in batches", "trained on in batches"
LATENT, BATCH, CLAMP = 512, 8, 256
DIFFERENCE_GOAL = 1e-3

Work = Callable[[], object]


@attrs.frozen
class Setup:
    """What is measured on: channels at the finest resolution, the images' side, rounds, device, the peer's checkout."""

    channels: int
    side_px: int
    rounds: int
    device: torch.device
    peer: Path | None


@attrs.frozen
class Networks:
    """A generator from w, (N, LATENT), to images, as it is when it is trained and for use alone, and a discriminator of
    images (N, SEEN, H, W)."""

    learn: Callable[[torch.Tensor], torch.Tensor]
    make: Callable[[torch.Tensor], torch.Tensor]
    judge: Callable[[torch.Tensor], torch.Tensor]
    parameters: list[list[nn.Parameter]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small networks, within a minute")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each variant that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads on CPUs")
    parser.add_argument("--device", default="cpu", help="where to compute")
    parser.add_argument("--peer", type=Path, metavar="PATH", help=f"a checkout of {PEER}")
    args = parser.parse_args()
    if args.peer is not None and not (args.peer / "training" / "networks.py").is_file():
        parser.error(f"{args.peer} is no checkout of {PEER}: there is no training/networks.py")
    torch.set_num_threads(args.threads)
    channels, side_px, rounds = (8, 32, 2) if args.quick else (32, 128, args.rounds)
    setup = Setup(channels, side_px, rounds, torch.device(args.device), args.peer)
    if args.peer is None:
        print(f"without --peer PATH, a checkout of {PEER}, ours is measured alone")
    rates = _rates(setup)
    results = [
        Result(name, "images/s", rates[name], rates.get(f"peer: {name}"), PEER if args.peer else None,
               GOAL * rates[f"peer: {name}"] if args.peer else None, smaller_is_better=False)
        for name in (ALONE, TOGETHER, TRAINED)
    ]  # fmt: skip
    if args.peer is not None:
        results.append(Result("layers: largest difference", "", _difference(setup), goal=DIFFERENCE_GOAL))
    print(f"{args.threads} threads, {setup.device}")
    report(f"making people, {channels} channels, {side_px} px, batch {BATCH}, float32", results)


def _rates(setup: Setup) -> dict[str, float]:
    """Return the images per second of each variant, in the median of its turns."""
    networks = {"": _ours(setup)} | ({"peer: ": _theirs(setup)} if setup.peer else {})
    variants = {f"{who}{name}": work for who, made in networks.items() for name, work in _works(made, setup).items()}
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(setup.rounds + 1):
        for name, work in variants.items():
            began = time.perf_counter()
            work()
            if setup.device.type == "cuda":
                torch.cuda.synchronize()
            if turn > 0:
                taken[name].append(time.perf_counter() - began)
    return {name: BATCH / median(times) for name, times in taken.items()}


def _works(networks: Networks, setup: Setup) -> dict[str, Work]:
    """Return what each variant does; all make ``BATCH`` images."""
    start = torch.Generator().manual_seed(0)
    latents = torch.randn(BATCH, LATENT, generator=start).to(setup.device)
    real = torch.randn(BATCH, SEEN, setup.side_px, setup.side_px, generator=start).to(setup.device)

    def together() -> None:
        with torch.inference_mode():
            networks.make(latents)

    def alone() -> None:
        with torch.inference_mode():
            for place in range(BATCH):
                networks.make(latents[place : place + 1])

    def step() -> None:
        made = networks.learn(latents)
        shown = torch.cat([made, real[:, 3:]], dim=1)
        judged = functional.softplus(networks.judge(shown.detach())) + functional.softplus(-networks.judge(real))
        torch.autograd.grad(judged.mean(), networks.parameters[1])
        torch.autograd.grad(functional.softplus(-networks.judge(shown)).mean(), networks.parameters[0])

    return {ALONE: alone, TOGETHER: together, TRAINED: step}


def _ours(setup: Setup) -> Networks:
    start, size = torch.Generator().manual_seed(0), (setup.side_px, setup.side_px)
    decoder = Decoder(setup.channels, size, LATENT, generator=start).to(setup.device)
    judge = Discriminator(setup.channels, size, generator=start).to(setup.device)
    sizes = sizes_of(size)
    features = [
        torch.randn(BATCH, width, *place, generator=start).to(setup.device, memory_format=torch.channels_last)
        for width, place in zip(widths_of(setup.channels, len(sizes)), sizes, strict=True)
    ]
    quick = copy.deepcopy(decoder)
    quicken(quick)
    return Networks(
        lambda w: decoder(features, w),
        lambda w: quick([part[: len(w)] for part in features], w),
        lambda images: judge(images)[0],
        [list(decoder.parameters()), list(judge.parameters())],
    )


def _theirs(setup: Setup) -> Networks:
    """Return the peer's networks, which take its plain PyTorch everywhere."""
    networks = _peer_networks(setup)
    sizes = {"channel_base": setup.channels * setup.side_px, "channel_max": 8 * setup.channels, "conv_clamp": CLAMP}
    maker = networks.SynthesisNetwork(LATENT, setup.side_px, 3, use_noise=True, **sizes).to(setup.device)
    judge = networks.Discriminator(0, setup.side_px, SEEN, **sizes).to(setup.device)

    def make(w: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = maker(w[:, None].expand(-1, maker.num_ws, -1), noise_mode="const", fused_modconv=True)
        return made

    return Networks(
        make,
        make,
        lambda images: judge(images, None)[:, 0],
        [list(maker.parameters()), list(judge.parameters())],
    )


def _peer_networks(setup: Setup) -> Any:
    sys.path.insert(0, str(setup.peer))
    try:
        import training.networks as networks  # type: ignore[import-not-found]
        from torch_utils.ops import bias_act, upfirdn2d  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(setup.peer))
    bias_act._init = upfirdn2d._init = lambda: False  # on GPUs too
    return networks


def _difference(setup: Setup) -> float:
    """Return how far results of our modulated layers are from the peer's with the same weights."""
    networks, worst = _peer_networks(setup), 0.0
    for up, count in ((False, 1), (False, 3), (True, 1), (True, 3)):
        start = torch.Generator().manual_seed(1)
        ours = ModulatedConvolution(6, 5, LATENT, (16, 16), up=up, generator=start)
        theirs = networks.SynthesisLayer(6, 5, LATENT, 16, up=1 + up, conv_clamp=CLAMP)
        with torch.no_grad():
            ours.noise_strength.fill_(0.5)
            theirs.weight.copy_(ours.weight / (6 * 9) ** 0.5)
            theirs.noise_strength.fill_(0.5)
            theirs.noise_const.copy_(ours.fixed_noise[0, 0])
            theirs.affine.load_state_dict(ours.styles.state_dict())
            side = 8 if up else 16
            images, w = torch.randn(count, 6, side, side, generator=start), torch.randn(count, LATENT, generator=start)
            found = ours(images, w, None) - theirs(images, w, noise_mode="const", fused_modconv=True)
        worst = max(worst, float(found.abs().max()))
    return worst


if __name__ == "__main__":
    main()
