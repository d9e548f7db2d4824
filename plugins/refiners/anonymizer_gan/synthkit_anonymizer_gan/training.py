# SPDX-License-Identifier: Apache-2.0
"""A step of training (thesis 002, sections 4.5 to 4.10), and the whole of its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, distributed, pictures
from synthkit.training.feed import Feed
from synthkit.training.loop import Learner
from synthkit_anonymizer_gan import augmenting, losses, people, surface
from synthkit_anonymizer_gan.conditions import Views, views_of
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.crop_store import Store
from synthkit_anonymizer_gan.discriminator import Discriminator, map_count
from synthkit_anonymizer_gan.looks import Spread
from synthkit_anonymizer_gan.networks import Generator, Shape

_BETAS = (0.0, 0.99)  # StyleGAN2's
_SHOWN = 8

Floats = npt.NDArray[np.float64]


def shape_of(config: GeneratingConfig) -> Shape:
    """Return what networks the settings ask for."""
    return Shape(
        size=config.size,
        surface=surface.channels_of(config.surface),
        channels=config.channels,
        latent=config.latent,
        mapping=config.mapping_layers,
        appearance=config.appearance,
        co_modulation=config.co_modulation,
    )


class Training(Learner):
    """All that changes while somebody learns to make people.

    Each step the discriminator learns first and then the generator, on the same crops. Every draw is addressed by its
    step.

    Args:
        config: the settings. crops: of the set. table: the surface's embedding, (places + 1, channels).
        seeds: the training's own streams. device: where to compute.

    Raises:
        ConfigError: when the batch cannot be shared by the processes, or the device has no such precision.
    """

    parallel = True

    def __init__(
        self, config: GeneratingConfig, crops: Store, table: surface.Table, seeds: Seeds, device: torch.device
    ) -> None:
        devices.use(device, config.precision)
        distributed.check_batch(config.batch)
        self.step, self.steps = 0, config.steps
        self.device, self.seeds, self.crops = device, seeds, crops
        self._config = config
        self._feed = Feed(len(crops), seeds.child("feed"))
        self._mirror = surface.mirror_of(config.surface) if config.flip else None
        self._maps = [number for number in config.feature_maps if number < map_count(config.size)]
        self.generator = Generator(
            shape_of(config), torch.from_numpy(table), generator=devices.generator(seeds, "initial weights", 0)
        ).to(device)
        self.discriminator = Discriminator(
            config.discriminator_channels, config.size, generator=devices.generator(seeds, "initial weights", 1)
        ).to(device)
        self._optimizers = {
            "adam generator": _adam(self.generator, config.learning_rate, _BETAS),
            "adam discriminator": _lazy_adam(self.discriminator, config),
        }

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses, and mean scores of real and made images (figure 6.2)."""
        views, appearances = self.batch()
        noise = self._condition_noise(views)
        with devices.autocast(self.device, self._config.precision):
            made, told = self.made(views, appearances)
        parts = self._judge(views, made.detach(), noise)
        parts |= self._fool(views, made, told, noise)
        self.step += 1
        if told is not None and self.generator.appearance is not None:
            self.generator.appearance.looks.follow(*told, self.step)
        return _numbers(parts)

    def batch(self) -> tuple[Views, Views]:
        """Return this process's part of the step's crops, and those of whose people they are to take their looks."""
        size = self._config.batch
        chosen = self._feed.indices(self.step, size)
        names = ("flip", "pair", "partner", "growth", "partner flip")
        draws = {name: self._draw(name).random(size) for name in names}
        partners = [
            self._partner(index, float(share)) if paired < self._config.pairs else index
            for index, paired, share in zip(chosen, draws["pair"], draws["partner"], strict=True)
        ]
        own = self._views(chosen, draws["flip"], draws["growth"])
        if partners == chosen and not self._config.augmented:
            return own, own
        alike = np.equal(partners, chosen) & (self._config.augmented == 0)
        flips = np.where(alike, draws["flip"], draws["partner flip"])
        return own, self._views(partners, flips, draws["growth"], augmented=self._config.augmented)

    def made(self, views: Views, appearances: Views) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
        """Return images in which people were made, and the distribution of z where that comes from their looks."""
        drawn, told = self._normal("z", self.generator.shape.latent), None
        if self.generator.appearance is None:
            z = drawn
        else:
            told = mean, log_variance = self.generator.appearance(appearances.people())
            z = mean + torch.exp(log_variance / 2) * drawn
        grains = [
            self._normal(f"noise {number}", 1, *size) for number, size in enumerate(self.generator.decoder.noise_sizes)
        ]
        made = self.generator(views.seen(self.generator.embedding), self.generator.mapping(z), grains)
        return views.completed(made), told

    def _judge(self, views: Views, made: torch.Tensor, noise: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Let the discriminator do a step, and return its losses."""
        config, optimizer = self._config, self._optimizers["adam discriminator"]
        with devices.autocast(self.device, config.precision):
            real_scores, _ = self.discriminator(views.judged(self._real(views), noise))
            fake_scores, _ = self.discriminator(views.judged(made, noise))
        loss = losses.discriminator(real_scores, fake_scores)
        total = loss + config.epsilon_weight * losses.epsilon_penalty(real_scores)
        penalty = torch.zeros((), device=self.device)
        if config.r1_weight and self.step % config.r1_every == 0:  # Karras et al. 2020, section 3: lazily
            real = self._real(views).requires_grad_()
            scores, _ = self.discriminator(views.judged(real, noise))
            penalty = losses.gradient_penalty(scores, real) * (config.r1_weight / 2 * config.r1_every)
        _descend(optimizer, total + penalty)
        return {
            "discriminator": loss,
            "gradient_penalty": penalty,
            "real_score": real_scores.mean(),
            "fake_score": fake_scores.mean(),
        }

    def _fool(
        self, views: Views, made: torch.Tensor, told: tuple[torch.Tensor, torch.Tensor] | None,
        noise: torch.Tensor | None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Let the generator do a step (equation 4.6), and return its losses without their weights."""
        config = self._config
        with devices.autocast(self.device, config.precision):
            fake_scores, fake_maps = self.discriminator(views.judged(made, noise))
            parts = {"adversarial": losses.generator(fake_scores)}
            weights = {"adversarial": 1.0}
            if told is not None and config.feature_weight:
                with torch.no_grad():
                    _, real_maps = self.discriminator(views.judged(self._real(views), noise))
                parts["feature_matching"] = losses.feature_matching(
                    real_maps, fake_maps, self._maps, normalised=config.feature_normalised
                )
                weights["feature_matching"] = config.feature_weight
        if told is not None:
            parts["divergence"] = losses.divergence(*told)
            weights["divergence"] = config.kl_weight
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        _descend(self._optimizers["adam generator"], total)
        return parts

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all tensors of the state, by name."""
        result = {f"generator/{name}": value for name, value in self.generator.state_dict().items()}
        result |= {f"discriminator/{name}": value for name, value in self.discriminator.state_dict().items()}
        for name, optimizer in self._optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                result |= {f"{name}/{index}/{key}": value for key, value in values.items()}
        return result

    def restore(self, tensors: dict[str, torch.Tensor], step: int) -> None:
        """Take back the state after ``step`` steps."""
        groups: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            group, _, key = name.partition("/")
            groups.setdefault(group, {})[key] = value
        self.generator.load_state_dict(groups["generator"])
        self.discriminator.load_state_dict(groups["discriminator"])
        for name, optimizer in self._optimizers.items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in groups.get(name, {}).items():
                index, _, field = key.partition("/")
                state.setdefault(int(index), {})[field] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        self.step = step

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the generator's weights: the checkpoint needs no discriminator."""
        return dict(self.generator.state_dict())

    @torch.no_grad()
    def picture(self) -> pictures.Pixels:
        """Return a picture: crops, what is known of them, people made again where that is learned, and two others."""
        chosen = pictures.spread(np.arange(len(self.crops)), _SHOWN).tolist()
        margin = people.margin_px(self._config.margin, self._config.crop_px)
        views = views_of([self.crops[index] for index in chosen], [margin] * len(chosen)).to(self.device)
        seen = views.seen(self.generator.embedding)
        rows = [self._real(views), views.background]
        spread = Spread.standard(self._config.latent).to(self.device)
        if self.generator.appearance is not None:
            spread = self.generator.appearance.looks.spread().to(self.device)
            z, _ = self.generator.appearance(views.people())
            rows.append(views.completed(self.generator(seen, self.generator.mapping(z))))
        for number in range(2):
            stream = self.seeds.child("picture").stream("z", number)
            drawn = stream.standard_normal((len(chosen), self._config.latent), np.float32)
            z = spread.of(torch.from_numpy(drawn).to(self.device))
            rows.append(views.completed(self.generator(seen, self.generator.mapping(z))))
        return pictures.sheet([_pixels(row) for row in rows])

    def _real(self, views: Views) -> torch.Tensor:
        return views.completed(views.images)

    def _views(self, chosen: list[int], flips: Floats, growths: Floats, *, augmented: float = 0.0) -> Views:
        config = self._config
        margins = [
            people.margin_px(config.margin + growth * config.mask_growth, config.crop_px)
            for growth in distributed.share(growths)
        ]
        mirrored = (distributed.share(flips) < 0.5).tolist() if config.flip else None
        cut = [self.crops[index] for index in distributed.share(chosen)]
        if augmented:
            draws = self._draw("augmentation").uniform(-1, 1, (self._config.batch, augmenting.DRAWS))
            pairs = zip(cut, distributed.share(draws), strict=True)
            cut = [augmenting.changed(crop, augmented, own) for crop, own in pairs]
        return views_of(cut, margins, mirrored=mirrored, mirror=self._mirror).to(self.device)

    def _partner(self, index: int, share: float) -> int:
        """Return another crop of the same person, or the same where there is none; ``share`` in 0..1 chooses."""
        others = self.crops.others_of(index)
        return int(others[int(share * len(others))]) if len(others) else index

    def _condition_noise(self, views: Views) -> torch.Tensor | None:
        """Return the noise of the discriminator's condition (section 4.10), in the range of images."""
        if self._config.discriminator_sees == "mask":
            return None
        draws = self._draw("condition").random((self._config.batch, *views.images.shape[1:]), np.float32)
        return torch.from_numpy(distributed.share(draws)).to(self.device) * 2 - 1

    def _normal(self, name: str, *shape: int) -> torch.Tensor:
        draws = self._draw(name).standard_normal((self._config.batch, *shape), np.float32)
        return torch.from_numpy(distributed.share(draws)).to(self.device)

    def _draw(self, name: str) -> np.random.Generator:
        return self.seeds.child(name).stream("step", self.step)


def _adam(network: torch.nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    fused = next(network.parameters()).device.type != "mps"
    return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, eps=1e-8, fused=fused)


def _lazy_adam(network: torch.nn.Module, config: GeneratingConfig) -> torch.optim.Adam:
    """Return Adam for a network of which every n-th step also has a penalty (Karras et al. 2020, appendix B)."""
    ratio = config.r1_every / (config.r1_every + 1) if config.r1_weight else 1.0
    return _adam(network, config.learning_rate * ratio, (_BETAS[0] ** ratio, _BETAS[1] ** ratio))


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Step down a loss's gradient; only the optimizer's own parameters get gradients."""
    optimizer.zero_grad(set_to_none=True)
    parameters: Iterable[torch.nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
    torch.autograd.backward(loss, inputs=list(parameters))
    distributed.average_gradients(parameters)
    optimizer.step()


def _numbers(parts: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Return losses as numbers, means over all processes, fetched from the device at once."""
    values = distributed.mean(torch.stack([part.detach().float() for part in parts.values()])).tolist()
    return dict(zip(parts, values, strict=True))


def _pixels(images: torch.Tensor) -> np.ndarray:  # type: ignore[type-arg]
    """Return images (N, 3, H, W) in -1..1 as (N, H, W, 3) float32 in 0..255."""
    return ((images.float().cpu() + 1) * 127.5).permute(0, 2, 3, 1).contiguous().numpy()
