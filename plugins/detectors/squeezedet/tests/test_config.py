# SPDX-License-Identifier: Apache-2.0
"""Settings that are refused, alone or together."""

from __future__ import annotations

import pytest

from synthkit import config as configs
from synthkit.errors import ConfigError
from synthkit_squeezedet.config import SqueezeDetConfig


def test_settings_are_checked():
    with pytest.raises(ConfigError) as caught:
        configs.structure(SqueezeDetConfig, {"input_px": [100, 96], "anchors": [[0, 5]], "target": "foot"})
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["sitting"]}, "ATTRIBUTE=VALUE"),
        ({"classes": ["a=b", "a=b"], "target": "person"}, "all different"),
        ({"classes": ["a=b"]}, "target is head"),
        ({"network": "squeezedet-plus", "backbone": "rendered"}, "use none"),
        ({"backbone": "rendered", "backbone_file": "x.npz"}, "not for backbone rendered"),
        ({"boxes": "rotated", "augmentation": "published"}, "use ceiling"),
    ],
)
def test_settings_that_do_not_fit_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        configs.structure(SqueezeDetConfig, settings, path="detector")
