# SPDX-License-Identifier: Apache-2.0
"""Carrying a training through: going on where it stopped, curves, pictures, and the checkpoint at the end."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from PIL import Image

from synthkit import __version__, crops
from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress, Runtime, SampleSet
from synthkit.training import checkpoints, devices, perceptual
from synthkit.training.curves import Curves
from synthkit.training.interrupts import Interrupts
from synthkit.training.meter import Meter
from synthkit_cyclegan import calibration, crop_store, losses
from synthkit_cyclegan.config import REFINE_ONLY, CycleGANConfig
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import RESIDUAL_BLOCKS
from synthkit_cyclegan.training import Training, as_crops, as_images, steps_of

FAMILY = "cyclegan"
"""The name in the cards of checkpoints: any preset can apply what any other has learned."""

REVISION = 1
"""Raised when the same settings and data train to other weights."""

_DEFAULT_LAYERS = {"vgg16": "pool2", "mobilenet_v2": "stride4"}
_PICTURE_CROPS = 8


@attrs.frozen(eq=False)
class Perceptual:
    """The perceptual network of a training, and what the card says of it."""

    network: perceptual.FeatureNet
    layer: str
    scale: float
    card: Mapping[str, Any]


def fit(config: CycleGANConfig, data: Mapping[str, SampleSet], workdir: Path, runtime: Runtime) -> Checkpoint:
    """Train (or go on training) on crops of ``data["source"]`` and ``data["target"]``.

    Leaves ``checkpoint.safetensors`` (the generator G alone), ``curves.jsonl`` and ``samples/`` in the
    working folder.

    Raises:
        DatasetError: when a set has nobody to crop. WeightsError: when the perceptual weights cannot be
        had, or the folder holds another training. WorkError: when the losses diverge.
    """
    device = devices.set_up(runtime)
    seen = load_perceptual(config, workdir, runtime.progress)
    stores = {
        role: crop_store.load(data[role], role, config.crop_px, workdir / "crops", runtime.progress)
        for role in ("source", "target")
    }
    card = _card(config, data, stores, seen, runtime)
    if (done := _finished(workdir / "checkpoint.safetensors", card)) is not None:
        return done
    terms = objective(config, attrs.evolve(seen, network=seen.network.to(device)))
    training = Training(config, stores["source"], stores["target"], terms, runtime.seeds, device)
    with closing(_resume(training, workdir, card["identity"], config)) as curves:
        _train(training, curves, workdir, card["identity"], config, runtime)
    checkpoint = checkpoints.save_checkpoint(workdir / "checkpoint.safetensors", training.g.state_dict(), card)
    (workdir / "state.safetensors").unlink(missing_ok=True)
    return checkpoint


def objective(config: CycleGANConfig, seen: Perceptual) -> list[losses.Term]:
    """Return the generators' losses of thesis 000's row D: adversarial, discriminator cycle, identity."""
    identity = losses.identity_features(seen.network, seen.layer, seen.scale)
    return [
        losses.Term("adversarial", 1.0, losses.adversarial),
        losses.Term("discriminator_cycle", config.discriminator_cycle_weight, losses.discriminator_cycle),
        losses.Term("identity_features", config.identity_feature_weight, identity),
    ]


def load_perceptual(config: CycleGANConfig, folder: Path, progress: Progress) -> Perceptual:
    """Return the perceptual network of a configuration, verified and calibrated.

    Args:
        config: with ``auto``, VGG16 is preferred and MobileNetV2 the way out; the choice is reported.
        folder: where the choice is noted, so that training goes on with the same network even when
            other weights have come or gone since.
        progress: for downloads.

    Raises:
        WeightsError: when the weights cannot be had. ConfigError: when the network lacks the layer.
    """
    note = folder / "perceptual.txt"
    name = note.read_text().strip() if config.perceptual == "auto" and note.exists() else config.perceptual
    if name != "auto":
        return _perceptual(name, config, progress)
    try:
        seen = _perceptual("vgg16", config, progress)
    except WeightsError as error:
        seen = _perceptual("mobilenet_v2", config, progress)
        progress("perceptual network", 1, 1, f"mobilenet_v2, because {error}")
    checkpoints.write_atomic(note, f"{seen.network.name}\n".encode())
    return seen


def _perceptual(name: str, config: CycleGANConfig, progress: Progress) -> Perceptual:
    layer = config.perceptual_layer or _DEFAULT_LAYERS.get(name, "")
    network, found = perceptual.load_features(name, [layer], config.perceptual_weights, progress)
    scale = calibration.scale_of(network, layer)
    card = {
        "network": name,
        "layer": layer,
        "calibration": scale,
        "weights_file": found.entry.file,
        "weights_sha256": found.entry.sha256,
        "weights_licence": found.entry.licence,
        "weights_source": found.entry.source,
    }
    return Perceptual(network, layer, scale, card)


def _train(
    training: Training, curves: Curves, workdir: Path, identity: str, config: CycleGANConfig, runtime: Runtime
) -> None:
    meter = Meter(runtime.progress, "train refiner", training.step, training.steps)
    with Interrupts() as interrupts:
        while training.step < training.steps:
            values = training.advance()
            curves.add(training.step, values)
            meter(training.step, "  ".join(f"{name} {value:.3g}" for name, value in values.items()))
            finished = training.step == training.steps
            if config.picture_every and (finished or training.step % config.picture_every == 0):
                _draw(training, workdir / "samples" / f"step-{training.step:07d}.png")
            if finished:
                curves.finish(training.step)
            if finished or interrupts.requested or training.step % config.checkpoint_every == 0:
                state = {"identity": identity, "step": training.step, "curves": curves.state()}
                checkpoints.save_state(workdir / "state.safetensors", training.tensors(), state)
            if interrupts.requested:
                raise KeyboardInterrupt


def _resume(training: Training, workdir: Path, identity: str, config: CycleGANConfig) -> Curves:
    """Put the training where an interrupted one stopped, and return its curves."""
    path = workdir / "state.safetensors"
    kept = checkpoints.load_state(path)
    if kept is None:
        return Curves(workdir / "curves.jsonl", config.log_every)
    tensors, state = kept
    if state.get("identity") != identity:
        raise _other_training(path)
    training.restore(tensors, state["step"])
    return Curves(workdir / "curves.jsonl", config.log_every, state["curves"])


def _finished(path: Path, card: Mapping[str, Any]) -> Checkpoint | None:
    if not path.exists():
        return None
    checkpoint = Checkpoint.open(path)
    if checkpoint.card.get("identity") != card["identity"]:
        raise _other_training(path)
    return checkpoint


def _other_training(path: Path) -> WeightsError:
    return WeightsError(
        f"{path}: is of a training with other settings or data; choose another folder, or remove this one"
    )


def _card(
    config: CycleGANConfig, data: Mapping[str, SampleSet], stores: Mapping[str, Crops], seen: Perceptual,
    runtime: Runtime,
) -> dict[str, Any]:  # fmt: skip
    """Return what the checkpoint says of itself; ``identity`` covers all that decides its weights."""
    elsewhere = REFINE_ONLY | {"perceptual", "perceptual_layer"}  # what became of them stands in the card too
    card: dict[str, Any] = {
        "kind": "refiner",
        "name": FAMILY,
        "revision": REVISION,
        "synthkit": __version__,
        "architecture": {
            "generator": {"filters": config.generator_filters, "blocks": RESIDUAL_BLOCKS, "skip": config.skip},
            "crop_px": config.crop_px,
            "head_at": list(crops.HEAD_AT),
        },
        "config": {key: value for key, value in configs.identity(config).items() if key not in elsewhere},
        "perceptual": dict(seen.card),
        "data": {
            role: {
                "fingerprint": data[role].fingerprint,
                "crops_fingerprint": crop_store.fingerprint(data[role], config.crop_px),
                "images": len(data[role]),
                "crops": len(stores[role]),
            }
            for role in ("source", "target")
        },
        "steps": steps_of(config, len(stores["source"]), len(stores["target"])),
        "seeds": repr(runtime.seeds),
        "licence": "the weights were learned from the data sets and the perceptual network named here;"
        " their licences apply",
    }
    card["identity"] = configs.fingerprint(card)
    return card


@torch.no_grad()
def _draw(training: Training, path: Path) -> None:
    """Write a picture: source crops, the same refined, and target crops, a row each."""
    rows = [_spread(training.crops["X"]), _spread(training.crops["Y"])]
    device = next(training.g.parameters()).device
    refined = np.concatenate([as_crops(training.g(as_images(crop[None]).to(device))) for crop in rows[0]])
    rows.insert(1, np.clip(np.rint(refined), 0, 255).astype(np.uint8))
    picture = np.full((3 * rows[0].shape[1], _PICTURE_CROPS * rows[0].shape[2], 3), 255, np.uint8)
    for n, row in enumerate(rows):
        strip = np.concatenate(list(row), axis=1)
        picture[n * row.shape[1] : (n + 1) * row.shape[1], : strip.shape[1]] = strip
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "png")
    checkpoints.write_atomic(path, encoded.getvalue())


def _spread(store: Crops) -> Crops:
    """Return up to eight crops from all over a set."""
    count = min(_PICTURE_CROPS, len(store))
    return np.asarray(store[np.linspace(0, len(store) - 1, count).round().astype(int)])
