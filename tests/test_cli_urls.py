# SPDX-License-Identifier: Apache-2.0
"""Every command that takes a data set takes its URL."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
from doubles import Counting, registry_of
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.sample import Person, Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("urls") / "local"
    with DatasetWriter(folder, identity={}, scenes=4) as writer:
        for n in range(4):
            image = np.full((40, 60, 3), 50 * n, np.uint8)
            people = [Person(identity=str(n), box_xyxy_px=(2, 3, 20, 30))]
            writer.spool.put(n, [Sample(key=f"s{n}", image=image, people=people)])
            writer.finished(n)
        writer.finalise()
    return folder


@pytest.fixture(params=["memory", "file"])
def url(request, folder, tmp_path):
    """The set's URL; its ``croissant.json`` may be written there."""
    place = f"{request.param}://{tmp_path}/set"
    system = fsspec.filesystem(request.param)
    system.put(str(folder), f"{tmp_path}/set", recursive=True)
    yield place
    if request.param == "memory":
        system.rm(f"{tmp_path}/set", recursive=True)


COMMANDS = {
    "verify": ["verify", "URL"],
    "repair": ["verify", "URL", "--repair", "OUT"],
    "stats": ["stats", "URL"],
    "split": ["split", "URL", "--out", "OUT", "--by", "sample", "--parts", "a=0.5,b=0.5", "--workers", "1"],
    "merge": ["merge", "URL", "LOCAL", "--rename", "--out", "OUT", "--workers", "1"],
    "filter": ["filter", "URL", "OUT", "--key", "s1", "--workers", "1"],
    "view": ["view", "URL", "--out", "OUT.html"],
    "describe": ["describe", "URL"],
    "convert": ["convert", "URL", "OUT", "--to", "coco"],
    "evaluate": ["evaluate", "URL", "URL", "--metrics", "counting"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_data_set_may_be_at_a_url(command, url, folder, tmp_path, monkeypatch):
    registry = registry_of(metric={"counting": Counting})
    monkeypatch.setattr("synthkit.plugins.discover", lambda: registry)
    places = {"URL": url, "LOCAL": str(folder), "OUT": str(tmp_path / "out"), "OUT.html": str(tmp_path / "out.html")}
    words = [places.get(word, word) for word in command]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    assert len(Dataset.open(url)) == 4
    assert "count" in done.output or command[0] != "evaluate"
