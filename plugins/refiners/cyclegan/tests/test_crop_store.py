# SPDX-License-Identifier: Apache-2.0
"""The crops that are learned from: all, or those that were chosen, each choice under its own fingerprint."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.config import structure
from synthkit.crop_choice import CropChoice
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import silent
from synthkit_cyclegan import crop_store, crop_training
from synthkit_cyclegan.config import CycleGANConfig


def test_only_chosen_crops_are_learned_from_and_the_choice_is_in_their_fingerprint(data, tmp_path):
    listing = tmp_path / "crops.txt"
    listing.write_text("drop *\nkeep s101/1\n")
    target = data["target"]
    everybody = crop_store.load(target, "target", 32, tmp_path / "crops", silent)
    chosen = crop_store.load(target, "target", 32, tmp_path / "crops", silent, CropChoice(list=listing))
    assert (len(everybody), len(chosen)) == (6, 1)
    assert np.array_equal(chosen[0], everybody[3])
    prints = {crop_store.fingerprint(target, 32, choice) for choice in (CropChoice(), CropChoice(list=listing))}
    listing.write_text("drop *\nkeep s102/0\n")
    prints.add(crop_store.fingerprint(target, 32, CropChoice(list=listing)))
    assert len(prints) == 3


def test_the_choice_is_of_the_target_alone_and_stands_in_the_card(data, tmp_path, runtime):
    config = structure(CycleGANConfig, {"crop_px": 32, "target_crops": {"aspect": [1, 1.1]}})
    with pytest.raises(DatasetError, match=r"target set \(3 images\) has no people .* the choice of crops must leave"):
        crop_training.load_pair(config, data, tmp_path / "work", silent)
    config = structure(CycleGANConfig, {"crop_px": 32, "target_crops": {"min_px": 20.0}})
    pair = crop_training.load_pair(config, data, tmp_path / "work", silent)
    assert (len(pair.source), len(pair.target)) == (8, 6)
    card = crop_training.card_of("cyclegan", 1, config, pair, runtime, architecture={})
    assert card["config"]["target_crops"]["min_px"] == 20.0


def test_a_list_of_another_set_stops_the_fitting(data, tmp_path):
    listing = tmp_path / "crops.txt"
    listing.write_text("drop of_another_set/0\n")
    with pytest.raises(ConfigError, match="of_another_set/0"):
        crop_store.load(data["target"], "target", 32, tmp_path / "crops", silent, CropChoice(list=listing))
    assert not list((tmp_path / "crops").glob("*.u8"))


def test_whole_images_are_learned_from_in_windows_of_their_own_scale(data, tmp_path, runtime):
    config = structure(CycleGANConfig, {"crop_px": 32, "region": "image"})
    pair = crop_training.load_pair(config, data, tmp_path / "work", silent)
    assert (len(pair.source), len(pair.target)) == (4 * 9, 3 * 9)
    assert np.array_equal(pair.target[4], data["target"][0].image[32:64, 32:64])
    people = crop_training.load_pair(structure(CycleGANConfig, {"crop_px": 32}), data, tmp_path / "work", silent)
    assert people.card["target"]["crops_fingerprint"] != pair.card["target"]["crops_fingerprint"]
    listing = tmp_path / "list.txt"
    listing.write_text("drop s101\n")
    target = data["target"]
    chosen = crop_store.load(target, "target", 32, tmp_path / "c", silent, CropChoice(list=listing), windows=True)
    assert len(chosen) == 2 * 9
    listing.write_text("keep s100/0\ndrop s101\n")  # as 'synthkit crops' writes it
    with pytest.raises(ConfigError, match=r"names 1 crops of people \(s100/0\), and whole images .*'drop s100'"):
        crop_store.load(target, "target", 32, tmp_path / "c", silent, CropChoice(list=listing), windows=True)
    with pytest.raises(ConfigError, match="rules are about people"):
        crop_store.load(target, "target", 32, tmp_path / "c", silent, CropChoice(min_px=9), windows=True)
    with pytest.raises(DatasetError, match="none of at least 128 pixels each way"):
        crop_store.load(target, "target", 128, tmp_path / "c", silent, windows=True)
