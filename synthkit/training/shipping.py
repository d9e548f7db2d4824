# SPDX-License-Identifier: Apache-2.0
"""Putting what was trained into a plugin's package: the scripts beside plugins that do it share this."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import SynthkitError
from synthkit.training.checkpoints import load_tensors, save_checkpoint


def ship(
    trained: Path, file: Path, kind: str, name: str, licence: str, settings: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Write a component's weights into a package, in half precision.

    Args:
        trained: a training's folder, or its checkpoint. file: where to.
        kind, name: of the component whose weights they must be. licence: of the weights.
        settings: with which it ships, where they are others than those of the training.

    Raises:
        DatasetError, WeightsError: when there is no such checkpoint, or it is another component's.
    """
    checkpoint = Checkpoint.open(trained / "checkpoint.safetensors" if trained.is_dir() else trained)
    checkpoint.require(kind, name)
    halves = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in load_tensors(checkpoint).items()
    }
    card = {**checkpoint.card, "licence": licence}
    if settings:
        card["config"] = {**card.get("config", {}), **settings}
    return save_checkpoint(file, halves, card)


def main(shipped: Callable[[Path], Checkpoint], about: str | None) -> int:
    """Read the command line of such a script, ship, and return the exit code.

    Args:
        shipped: ships a training's folder or its checkpoint. about: the script's docstring.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, help="folder of the training, or its checkpoint")
    try:
        checkpoint = shipped(parser.parse_args().trained)
    except SynthkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.write(f"written: {checkpoint.path}\n")
    return 0
