# SPDX-License-Identifier: Apache-2.0
"""Plugins are found by their metadata; a bad one is a line in a list and never a crash."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synthkit import entrypoints, errors, plugins
from synthkit.checkpoint import Checkpoint
from synthkit.cli.app import app
from synthkit.interfaces import Component, ComponentSpec, Runtime
from synthkit.seeds import Seeds

GOOD = """
import attrs
from synthkit.config import setting
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component

@attrs.frozen
class Config:
    level: int = setting(1, help="how much")

class Target:
    def __init__(self, config, checkpoint, runtime):
        self.config = config

@hookimpl
def synthkit_components():
    return [Component(kind="refiner", name="{name}", summary="s", config=Config, target="{module}:{target}",
                      defaults={defaults})]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch):
    """Put a distribution with one plugin module on the path, as pip would."""
    monkeypatch.delenv(entrypoints.ALLOW_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    numbers = itertools.count()

    def add(source: str = GOOD, *, distribution="stranger", entry="stranger", group="synthkit.v1", **values) -> str:
        module = f"plugin_{tmp_path.name.replace('-', '_')}_{next(numbers)}"
        values = {"name": "strange", "target": "Target", "defaults": {}, "module": module, **values}
        for key, value in values.items():
            source = source.replace("{" + key + "}", str(value))
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry} = {module}\n")
        return module

    return add


def broken(registry, distribution):
    return [item.reason for item in registry.broken if item.origin.distribution == distribution]


def test_a_strangers_plugin_is_found_with_its_origin(install, tmp_path):
    install()
    registry = plugins.discover()
    found = registry.get("refiner", "strange")
    assert found.origin == plugins.Origin("stranger", "1.2", "stranger")
    built = registry.build(ComponentSpec("refiner", "strange", {"level": 4}), Runtime(Seeds(0), tmp_path))
    assert built.config.level == 4


def test_the_example_plugin_comes_through_the_same_door():
    registry = plugins.discover()
    assert registry.get("renderer", "discs").origin.distribution == "synthkit-example-discs"
    assert broken(registry, "synthkit-example-discs") == []


def test_provenance_tells_what_made_a_set(install, tmp_path):
    install(GOOD.replace('summary="s"', 'summary="s", revision=7'), distribution="maker")
    registry = plugins.discover()
    first = registry.provenance(ComponentSpec("refiner", "strange", {"level": 4}))
    assert (first["distribution"], first["version"], first["revision"]) == ("maker", "1.2", 7)
    assert first["config"] == {"level": 4}
    other = registry.provenance(ComponentSpec("refiner", "strange", {"level": 5}))
    assert len(first["config_sha256"]) == 64
    assert first["config_sha256"] != other["config_sha256"]


def test_the_environment_has_the_plugin_and_what_it_asks_for(install, tmp_path):
    install(distribution="maker")
    info = tmp_path / "maker-1.2.dist-info" / "METADATA"
    wanted = ["synthkit-core[torch]", "hypothesis>=6", "numpy>=1", "not-installed", 'pytest; extra == "dev"']
    info.write_text(info.read_text() + "".join(f"Requires-Dist: {line}\n" for line in wanted))
    found = plugins.discover().environment(ComponentSpec("refiner", "strange"))
    assert sorted(found) == ["hypothesis", "maker", "safetensors", "torch"]
    assert found["maker"] == "1.2"
    assert found["torch"] == metadata.version("torch")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise SystemExit(3)", "SystemExit"),
        ("x = (", "SyntaxError"),
        ("x = 1", "does not implement synthkit_components"),
        (GOOD.replace("return [", "return 3 and ["), None),
        (GOOD.replace("return [Comp", "raise ValueError('no') or [Comp"), "ValueError: no"),
        (GOOD.replace("def synthkit_components()", "def synthkit_components(extra)"), "extra"),
        (GOOD.replace("return [", "return ['x', "), "must give Component objects"),
        (GOOD.replace('kind="refiner"', 'kind="cook"'), "kind must be one of renderer, refiner, detector, metric, got"),
        (
            GOOD.replace("{module}:{target}", "{module}.{target}"),
            "target must be like package.module:Class, got 'plugin_",
        ),
        (GOOD.replace("{defaults}", "{'levle': 2}"), "did you mean 'level'"),
    ],
)
def test_a_broken_plugin_is_reported_and_the_others_work(install, source, reason):
    install(source)
    install(distribution="other", entry="other", name="works")
    registry = plugins.discover()
    assert registry.get("refiner", "works")
    if reason is None:
        assert broken(registry, "stranger") == []
    else:
        (line,) = broken(registry, "stranger")
        assert reason in line
        assert "\n" not in line
        assert "Attribute(" not in line


def test_a_component_may_have_a_required_setting(install):
    install(GOOD.replace("setting(1, ", "setting("))
    registry = plugins.discover()
    assert registry.get("refiner", "strange")
    with pytest.raises(errors.ConfigError, match=r"refiner\.level: is required"):
        registry.configure(ComponentSpec("refiner", "strange"))


def test_two_plugins_of_one_component_are_both_named(install):
    install(distribution="first", entry="same")
    install(distribution="second", entry="same")
    registry = plugins.discover()
    assert registry.get("refiner", "strange").origin.distribution == "first"
    (reason,) = broken(registry, "second")
    assert "first" in reason
    assert "second" in reason


def test_another_version_of_the_interface_is_not_loaded(install):
    install("raise RuntimeError('must not be imported')", group="synthkit.v2")
    assert broken(plugins.discover(), "stranger") == []


def test_the_environment_can_restrict_what_is_loaded(install, monkeypatch):
    install()
    install(distribution="other", entry="other", name="works")
    monkeypatch.setenv(entrypoints.ALLOW_VARIABLE, "other, nothing")
    assert [item.component.name for item in plugins.discover().all()] == ["works"]


def test_unknown_names_are_answered_with_the_nearest(install):
    install()
    install("x = 1", distribution="sick", entry="sick")
    registry = plugins.discover()
    with pytest.raises(errors.PluginError, match=r"did you mean 'strange'.*not loaded: .*sick"):
        registry.get("refiner", "strang")


def test_wrong_options_name_the_setting(install):
    install()
    with pytest.raises(errors.ConfigError, match=r"refiner\.levl: unknown setting; did you mean 'level'"):
        plugins.discover().configure(ComponentSpec("refiner", "strange", {"levl": 1}))


def test_a_target_that_cannot_be_imported_is_a_line(install, tmp_path):
    install(target="Nowhere")
    with pytest.raises(errors.PluginError, match="'strange' cannot be loaded"):
        plugins.discover().build(ComponentSpec("refiner", "strange"), Runtime(Seeds(0), tmp_path))


def component(name, needs=(), provides=()):
    return Component("refiner", name, "s", type(None), "a:B", needs=needs, provides=provides)


def test_a_chain_lacks_nothing_or_says_what():
    stages = [("renderer", component("r", provides=["depth"])), ("refiner", component("f", needs=["depth"]))]
    assert plugins.check_chain(stages, frozenset()) == {"depth"}
    stages.append(("refiner", component("g", needs=["instances", "depth"])))
    with pytest.raises(errors.ConfigError, match="'g' needs instances; before it there is only depth"):
        plugins.check_chain(stages, frozenset())


def test_what_is_shown_of_settings_can_be_written_into_a_file():
    lines = CliRunner().invoke(app, ["plugins", "show", "blender"]).output.splitlines()
    values = tomllib.loads("\n".join(line for line in lines if re.match(r"  [\w.]+ = ", line)))
    assert values["camera"]["height_m"] == [2.4, 3.2]
    assert "  samples (not set)" in lines


def test_nothing_heavy_is_imported_by_discovery():
    code = (
        "import sys; from synthkit.plugins import discover; discover();"
        "print([m for m in ('torch', 'bpy', 'webdataset', 'cv2', 'onnxruntime', 'PIL') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_checkpoints_that_ship_are_there_and_of_their_kind():
    shipping = [found.component for found in plugins.discover().all() if found.component.demo_checkpoint is not None]
    assert shipping
    for component in shipping:
        Checkpoint.open(component.shipped_checkpoint()).require(component.kind)
