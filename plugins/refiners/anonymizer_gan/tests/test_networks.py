# SPDX-License-Identifier: Apache-2.0
"""What the networks are made of, and what they look at."""

from __future__ import annotations

import attrs
import pytest
import torch

from synthkit_anonymizer_gan.discriminator import Discriminator, deviation, map_count
from synthkit_anonymizer_gan.networks import Decoder, Encoder, Generator, Mapping, Shape, sizes_of, widths_of

SHAPE = Shape(size=(32, 16), surface=3, channels=2, latent=5)


def _drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _generator(shape: Shape = SHAPE) -> Generator:
    made = Generator(shape, places=4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, value in made.named_parameters():
            if name.endswith("noise_strength"):
                value.fill_(0.3)
    return made


def test_resolutions_are_those_of_the_thesis():
    assert sizes_of((288, 160)) == [(288, 160), (144, 80), (72, 40), (36, 20), (18, 10), (9, 5)]
    assert sizes_of((72, 40)) == [(72, 40), (36, 20), (18, 10), (9, 5)]
    assert widths_of(64, 6) == [64, 128, 256, 512, 512, 512]
    assert map_count((288, 160)) == 7  # "resolution 3 to 6 (which is the last resolution)"


def test_the_encoder_tells_all_resolutions_and_the_decoder_uses_them():
    encoder = Encoder(4, 2, (32, 16), generator=torch.Generator().manual_seed(1))
    features = encoder(_drawn(2, 4, 32, 16))
    assert [tuple(part.shape[1:]) for part in features] == [(2, 32, 16), (4, 16, 8), (8, 8, 4)]
    decoder = Decoder(2, (32, 16), 5, generator=torch.Generator().manual_seed(2))
    made = decoder(features, _drawn(2, 5))
    assert made.shape == (2, 3, 32, 16)
    for number in range(len(features)):
        changed = [part + (place == number) for place, part in enumerate(features)]
        assert not torch.allclose(decoder(changed, _drawn(2, 5)), made)


def test_features_keep_about_their_variance():
    encoder = Encoder(4, 16, (64, 32), generator=torch.Generator().manual_seed(1))
    for part in encoder(_drawn(8, 4, 64, 32)):
        assert 0.3 < float(part.square().mean()) < 2


def test_mapping_is_linear_layers_with_slopes():
    mapping = Mapping(5, 2, generator=torch.Generator().manual_seed(1))
    z = _drawn(3, 5)
    flow = z
    for layer in mapping.layers:
        flow = torch.nn.functional.leaky_relu(flow @ (layer.weight * 0.01 / 5**0.5).T, 0.2) * 2**0.5
    assert torch.allclose(mapping(z), flow, atol=1e-6)
    assert torch.equal(mapping(torch.zeros(1, 5)), torch.zeros(1, 5))


@pytest.mark.parametrize("co_modulation", [False, True])
def test_latents_decide_and_with_co_modulation_the_surroundings_modulate_too(co_modulation):
    generator = _generator(attrs.evolve(SHAPE, co_modulation=co_modulation))
    seen, w = _drawn(2, SHAPE.seen, 32, 16), _drawn(2, 5, seed=2)
    made = generator(seen, w)
    assert not torch.allclose(generator(seen, w + 1), made, atol=1e-3)
    assert (generator.co_modulation is not None) == co_modulation
    if generator.co_modulation is not None:
        features = generator.encoder(seen)
        told = generator.co_modulation(features[-1], w)
        assert not torch.allclose(generator.co_modulation(features[-1] + 1, w), told)
        assert not torch.allclose(generator.co_modulation(features[-1], w + 1), told)
        assert torch.allclose(generator.decoder(features, told), made)


def test_noise_is_fixed_unless_it_is_drawn():
    generator, seen, w = _generator(), _drawn(2, SHAPE.seen, 32, 16), _drawn(2, 5, seed=2)
    sizes = generator.decoder.noise_sizes
    assert sizes == [(8, 4), (16, 8), (16, 8), (32, 16), (32, 16)]
    assert torch.equal(generator(seen, w), generator(seen, w))
    drawn = generator(seen, w, [_drawn(2, 1, *size, seed=9) for size in sizes])
    assert not torch.allclose(drawn, generator(seen, w), atol=1e-3)


def test_images_of_a_batch_do_not_touch_each_other():
    generator, seen, w = _generator(), _drawn(3, SHAPE.seen, 32, 16), _drawn(3, 5, seed=2)
    together = generator(seen, w)
    for number in range(3):
        alone = generator(seen[number : number + 1], w[number : number + 1])
        assert torch.allclose(together[number], alone[0], atol=1e-5)


def test_the_appearance_mapper_tells_a_distribution():
    generator = _generator()
    mean, log_variance = generator.appearance(_drawn(2, 4, 32, 16))
    assert mean.shape == log_variance.shape == (2, 5)
    assert _generator(attrs.evolve(SHAPE, appearance=False)).appearance is None


def test_deviation_is_told_within_groups_of_four():
    features = torch.zeros(8, 1, 2, 2)
    features[0] = 2.0  # in its group: 2 0 0 0, deviation sqrt(0.75)
    told = deviation(features)
    assert told.shape == (8, 1, 2, 2)
    assert told[:4].numpy() == pytest.approx(0.75**0.5, abs=1e-3)
    assert told[4:].numpy() == pytest.approx(0, abs=1e-3)
    assert deviation(features[:6])[:3].numpy() == pytest.approx((8 / 9) ** 0.5, abs=1e-3)  # groups of 3
    assert deviation(features[:1]).numpy() == pytest.approx(0, abs=1e-3)


def test_the_discriminator_tells_maps_of_all_resolutions():
    judge = Discriminator(2, (32, 16), generator=torch.Generator().manual_seed(1))
    scores, maps = judge(_drawn(4, 7, 32, 16))
    assert scores.shape == (4,)
    assert [tuple(part.shape[1:]) for part in maps] == [(2, 32, 16), (4, 16, 8), (8, 8, 4), (8, 8, 4)]
    assert len(maps) == map_count((32, 16))
