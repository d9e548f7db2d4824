# SPDX-License-Identifier: Apache-2.0
"""How weights follow their gradients: AdamW, or as released."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from synthkit_squeezedet.config import SqueezeDetConfig

_WARM_UP = 0.05  # of all steps, at most _WARM_UP_STEPS
_WARM_UP_STEPS = 200
_HALVE_EVERY = 10_000

_RATES = {"adamw": 0.001, "published": 0.01}
_BETAS = (0.9, 0.99)
_LARGEST_NORM = 10.0  # of AdamW's gradients together: only what would undo many steps is cut


class Descent:
    """An optimizer of some parameters, with its learning rate over the steps.

    AdamW (Loshchilov and Hutter, Decoupled weight decay regularization, 2019), or as released, gradient descent with
    momentum after each tensor's gradient, with the decay added, was cut to a largest norm. Biases do not decay.
    """

    def __init__(self, config: SqueezeDetConfig, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        self._config = config
        self._parameters = parameters
        self._optimizer = _optimizer(config, parameters)

    def clear(self) -> None:
        """Forget all gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self, number: int) -> None:
        """Follow the parameters' gradients in the step of this number, from 0 on."""
        config = self._config
        given = [parameter for parameter in self._parameters.values() if parameter.grad is not None]
        if config.optimizer == "published":
            _condition(given, config)
        else:
            torch.nn.utils.clip_grad_norm_(given, _LARGEST_NORM)
        highest = _RATES[config.optimizer] if config.learning_rate is None else config.learning_rate
        for group in self._optimizer.param_groups:
            group["lr"] = highest * rate_factor(config, number)
        self._optimizer.step()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what it remembers of each parameter, as ``KIND.PARAMETER``."""
        kept = self._optimizer.state
        return {f"{kind}.{name}": t for name, p in self._parameters.items() for kind, t in kept[p].items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what ``tensors`` gave."""
        for name, tensor in tensors.items():
            kind, _, parameter = name.partition(".")
            owner = self._parameters[parameter]
            # The count of AdamW's steps stays on the CPU, as where it was made.
            self._optimizer.state[owner][kind] = tensor if kind == "step" else tensor.to(owner.device)


def _optimizer(config: SqueezeDetConfig, parameters: Mapping[str, torch.nn.Parameter]) -> torch.optim.Optimizer:
    if config.optimizer == "published":
        return torch.optim.SGD(parameters.values(), lr=0.0, momentum=config.momentum)
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS)


def _condition(parameters: list[torch.nn.Parameter], config: SqueezeDetConfig) -> None:
    """Add the kernels' decay, then shorten each tensor's gradient to the largest norm, as released."""
    for parameter in parameters:
        assert parameter.grad is not None
        if parameter.ndim > 1:
            parameter.grad.add_(parameter.detach(), alpha=config.weight_decay)
        norm = parameter.grad.norm()
        parameter.grad.mul_(torch.clamp(config.clip / (norm + 1e-12), max=1.0))


def rate_factor(config: SqueezeDetConfig, step: int) -> float:
    """Return the factor on the learning rate at a step."""
    if config.schedule == "published":
        return float(0.5 ** (step // _HALVE_EVERY))
    rise = max(1, min(_WARM_UP_STEPS, round(_WARM_UP * config.steps)))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(config.steps - rise, 1)))
