# SPDX-License-Identifier: Apache-2.0
"""Settings: typed, checked, and every mistake told at once with its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit import config
from synthkit.config import When, all_of, at_least, between, ordered, setting
from synthkit.errors import ConfigError


@attrs.frozen
class Lens:
    fov: float = setting(180.0, help="field of view", validator=between(10, 220))
    kind: Literal["flat", "fish"] = setting("fish", help="which")


@attrs.frozen
class Camera:
    samples: int = setting(16, help="samples per pixel", validator=at_least(1))
    people: tuple[int, int] = setting((0, 3), help="few, many", validator=all_of(at_least(0), ordered))
    names: tuple[str, ...] = setting((), help="names")
    lens: Lens = setting(attrs.Factory(Lens), help="lens")
    plate: Path | None = setting(None, help="a picture", decides="content")
    denoise: bool = setting(True, help="whether")
    patience_s: float = setting(60.0, help="time-out", decides="nothing")
    free: Any = setting(None, help="anything")


@attrs.frozen
class Required:
    must: str = setting(help="has no default")


def problems(cls, data, **kwargs):
    with pytest.raises(ConfigError) as caught:
        config.structure(cls, data, **kwargs)
    return caught.value.problems


def test_defaults_and_nested_values():
    made = config.structure(Camera, {"samples": 4, "lens": {"fov": 100}, "people": [1, 2], "plate": "a.png"})
    assert made == Camera(samples=4, lens=Lens(fov=100.0), people=(1, 2), plate=Path("a.png"))


def test_an_empty_path_is_not_the_working_directory():
    assert list(problems(Camera, {"plate": ""})) == ["plate: expected a path or none, got '' (must not be empty)"]
    assert config.structure(Camera, {"plate": "."}).plate == Path()


def test_tables_are_not_told_by_the_names_of_classes():
    assert problems(Camera, {"lens": None}) == ("lens: expected a table of settings, got nothing",)
    assert problems(Camera, {"lens": 3}) == ("lens: expected a table of settings, got 3",)


def test_every_problem_is_told_with_path_and_nearest_name():
    found = problems(
        Camera,
        {"sampels": 3, "samples": 0, "people": [3, 1], "lens": {"fov": 500, "kind": "round"}, "denoise": 1},
        path="renderer",
    )
    text = "\n".join(found)
    assert "renderer.sampels: unknown setting; did you mean 'samples'?" in text
    assert "renderer.samples: must be at least 1, got 0" in text
    assert "renderer.people: must be (low, high)" in text
    assert "renderer.lens.fov: must lie between 10 and 220" in text
    assert "renderer.lens.kind: expected one of flat, fish, got 'round'" in text
    assert "renderer.denoise: expected true or false, got 1" in text
    assert len(found) == 6


def test_a_name_that_was_cut_short_is_known():
    assert config.nearest("fov", ["fov_degrees", "height_m", "lens"]) == "; did you mean 'fov_degrees'?"
    assert config.nearest("zoom", ["fov_degrees", "lens"]) == "; known: fov_degrees, lens"


@pytest.mark.parametrize(
    "data",
    [
        {"samples": "4"}, {"samples": True}, {"samples": 4.5}, {"samples": None}, {"lens": 3}, {"lens": {"fov": "x"}},
        {"people": [1]}, {"people": "12"}, {"people": [1, 2, 3]}, {"names": "abc"}, {"names": [1]}, {"plate": 3},
        {"lens": {"fov": float("nan")}}, {"lens": {"fov": float("inf")}}, {"people": {"a": 1}},
    ],
)  # fmt: skip
def test_values_are_not_bent_into_their_type(data):
    (line,) = problems(Camera, data)
    assert "expected" in line


def test_none_is_for_what_may_be_none():
    assert config.structure(Camera, {"plate": "none"}).plate is None
    assert config.structure(Camera, {"plate": None}).plate is None


def test_required_settings_are_asked_for():
    assert problems(Required, {}) == ("must: is required (has no default)",)


def test_a_prefix_of_a_wrong_setting_is_checked_too():
    """'people' is wrong by value although another setting, whose name starts with it, is wrong by type."""

    @attrs.frozen
    class Both:
        people_max: int = setting(1, help="h")
        people: int = setting(1, help="h", validator=at_least(1))

    assert len(problems(Both, {"people_max": "x", "people": 0})) == 2


@settings(deadline=None)
@given(
    st.builds(
        Camera,
        samples=st.integers(1, 99),
        people=st.tuples(st.integers(0, 3), st.integers(3, 9)),
        names=st.lists(st.text(max_size=4), max_size=3).map(tuple),
        lens=st.builds(Lens, fov=st.floats(10, 220), kind=st.sampled_from(["flat", "fish"])),
        denoise=st.booleans(),
    )
)
def test_plain_and_structure_are_inverse(made):
    assert config.structure(Camera, config.plain(made)) == made
    assert config.fingerprint(made) == config.fingerprint(config.plain(made))


def test_identity_knows_what_decides(tmp_path):
    plate = tmp_path / "plate.png"
    plate.write_bytes(b"one")
    first = config.identity(Camera(plate=plate))
    assert "patience_s" not in first
    copy = tmp_path / "copy.png"
    copy.write_bytes(b"one")
    plate.write_bytes(b"two")
    assert config.identity(Camera(plate=plate)) != first
    with pytest.raises(ConfigError, match=r"plate: .*nowhere"):
        config.identity(Camera(plate=tmp_path / "nowhere"))


BLURRED = When("blur is on", lambda made: made.blur)


@attrs.frozen
class Blur:
    blur: bool = setting(False, help="whether")
    radius: float = setting(2.0, help="how far", when=BLURRED)
    rounds: int = setting(1, help="how often", when=BLURRED)


def test_settings_that_decide_nothing_are_told_and_do_not_count():
    assert problems(Blur, {"radius": 3, "rounds": 2}, path="lens") == (
        "lens.radius: decides nothing unless blur is on",
        "lens.rounds: decides nothing unless blur is on",
    )
    assert config.identity(config.structure(Blur, {"radius": 2})) == {"blur": False}
    used = config.structure(Blur, {"blur": True, "radius": 3})
    assert config.identity(used) == {"blur": True, "radius": 3.0, "rounds": 1}


def test_sets_are_read_as_toml_and_else_as_text():
    made = config.parse_sets(["a.b=16", "a.c=[1, 2]", "d=true", "e=text", 'f="16"', "a.g=x=y"])
    assert made == {"a": {"b": 16, "c": [1, 2], "g": "x=y"}, "d": True, "e": "text", "f": "16"}


def test_wrong_sets_are_told_together():
    with pytest.raises(ConfigError) as caught:
        config.parse_sets(["a", "=3", "a..b=3", "good=1"])
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('refiners."C_CP^S, pools=1.5".steps=3', {"refiners": {"C_CP^S, pools=1.5": {"steps": 3}}}),
        ("refiners.'1.5 \"x\"'.steps = 3", {"refiners": {'1.5 "x"': {"steps": 3}}}),
        ('"a.b" . "c\\"=d\\u00e9"=e', {"a.b": {'c"=d\u00e9': "e"}}),
        ("refiners.C_CP^S, it's.steps=3", {"refiners": {"C_CP^S, it's": {"steps": 3}}}),
    ],
)
def test_names_with_dots_stand_in_quotes_as_in_toml(text, expected):
    assert config.parse_sets([text]) == expected


@pytest.mark.parametrize("text", ['"a=3', '"a"b=3', '"a\\q"=3', "'a\nb'=3", 'a."b".=3', '""""""=3'])
def test_quotes_that_are_none_are_told(text):
    with pytest.raises(ConfigError, match="names with dots or = in them stand in quotes"):
        config.parse_sets([text])


def test_a_set_cannot_inject_other_settings():
    assert config.parse_sets(["a=1\nb = 2"]) == {"a": "1\nb = 2"}


def test_later_sets_win_and_tables_merge():
    base = {"a": {"x": 1, "y": 1}, "b": [1]}
    config.merge_into(base, {"a": {"y": 2}, "b": [2]})
    assert base == {"a": {"x": 1, "y": 2}, "b": [2]}


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", None])
def test_toml_files_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.toml"):
        config.load_toml(path)


def test_every_setting_is_described():
    rows = {name: (kind, default, text) for name, kind, default, text in config.describe(Camera)}
    assert rows["samples"] == ("a whole number", 16, "samples per pixel")
    assert rows["plate"][0] == "a path or none"
    assert rows["people"][1] == [0, 3]
    assert config.describe(Required)[0][2] == "required"


def test_settings_of_tables_are_described_under_their_names():
    names = [name for name, *_ in config.describe(Camera)]
    assert names[3:6] == ["lens.fov", "lens.kind", "plate"]
