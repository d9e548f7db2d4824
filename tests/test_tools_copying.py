# SPDX-License-Identifier: Apache-2.0
"""Split, merge and filter: every byte as it was, nothing leaks, nothing is lost in silence."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.dataset import Dataset, DatasetWriter, verify
from synthkit.dataset.tools.allotment import allot
from synthkit.dataset.tools.filter import Conditions, filtered
from synthkit.dataset.tools.merge import merge
from synthkit.dataset.tools.split import connected, parse_parts, split
from synthkit.errors import ConfigError, DatasetError, SynthkitError
from synthkit.sample import Person, Sample, Skipped

COMMAND = [sys.executable, "-c", "from synthkit.cli import main; main()"]
HALVES = {"a": 0.5, "b": 0.5}


def sample(key, *, identities=(), sequence=None, background=None, layers=None, **person):
    people = [Person(identity=name, **person) for name in identities]
    meta = {} if background is None else {"background": background}
    image = np.full((8, 8, 3), sum(key.encode()) % 256, np.uint8)
    return Sample(key=key, image=image, people=people, sequence=sequence, meta=meta, layers=layers or {})


def write(folder, results, *, notes=None, name="test"):
    with DatasetWriter(folder, identity={"what": name}, notes=notes, scenes=len(results), scenes_per_shard=4) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return folder


def contents(data):
    return dict(map(data.members, range(len(data))))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def crowd(tmp_path):
    """Sixteen samples: pairs of people who meet in some frames, so that four groups of four remain."""
    made = []
    for group, n in itertools.product(range(4), range(4)):
        names = [f"p{group}{n}", f"p{group}{n + 1}"]  # each frame shares someone with the next
        made.append(sample(f"k{n}{group}", identities=names, sequence=f"s{n}", background=f"room{n % 2}.jpg"))
    return write(tmp_path / "crowd", made, notes={"licence": "CC0-1.0", "stages": ["x"]})


def test_people_who_meet_stay_together(crowd, tmp_path):
    made = split(crowd, tmp_path / "out", HALVES, "identity")
    assert made.groups == 4
    people = {name: {p.identity for s in part for p in s.people} for name, part in made.parts.items()}
    assert not people["a"] & people["b"]
    assert [len(part) for part in made.parts.values()] == [8, 8]
    whole = contents(Dataset.open(crowd))
    assert {**contents(made.parts["a"]), **contents(made.parts["b"])} == whole
    for part in made.parts.values():
        assert verify.verify(part.location).problems == ()


@pytest.mark.parametrize(("by", "field"), [("sequence", "sequence"), ("background", "background")])
def test_clips_and_rooms_stay_together(crowd, tmp_path, by, field):
    made = split(crowd, tmp_path / "out", HALVES, by)
    seen = [{s.sequence if field == "sequence" else s.meta["background"] for s in part} for part in made.parts.values()]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_a_split_is_on_record(crowd, tmp_path):
    made = split(crowd, tmp_path / "out", HALVES, "identity", seed=7)
    notes = made.parts["a"].manifest.notes
    assert notes["licence"] == "CC0-1.0"
    assert notes["stages"] == ["x"]
    assert notes["parents"] == [
        {"path": "../../crowd", "fingerprint": Dataset.open(crowd).fingerprint, "samples": 16, "skipped": 0}
    ]
    assert notes["split"]["by"] == "identity"
    assert notes["split"]["part"] == "a"
    assert notes["split"]["places"] == {"a": 8, "b": 8}


def test_a_split_depends_on_seed_and_keys_alone(crowd, tmp_path):
    def keys(folder, source, seed):
        return {
            n: set(part.keys())
            for n, part in split(source, tmp_path / folder, HALVES, "sample", seed=seed).parts.items()
        }

    first = keys("one", crowd, 0)
    assert keys("two", crowd, 1) != first
    shuffled = write(
        tmp_path / "shuffled", [Dataset.open(crowd)[int(i)] for i in np.random.default_rng(3).permutation(16)]
    )
    assert keys("three", shuffled, 0) == first


def test_a_split_again_changes_nothing(crowd, tmp_path):
    split(crowd, tmp_path / "out", HALVES, "sample")
    before = files(tmp_path / "out")
    split(crowd, tmp_path / "out", HALVES, "sample")
    assert files(tmp_path / "out") == before
    with pytest.raises(DatasetError, match="made with other settings"):
        split(crowd, tmp_path / "out", HALVES, "sample", seed=1)


@pytest.mark.parametrize("moment", [0, 3, 8, 11])
def test_an_interrupted_split_goes_on(crowd, tmp_path, moment):
    def interrupted(stage, done, total, note=""):
        calls.append(stage)
        if stage.startswith("split") and sum(name.startswith("split") for name in calls) > moment:
            raise KeyboardInterrupt

    calls = []
    with pytest.raises(KeyboardInterrupt):
        split(crowd, tmp_path / "out", HALVES, "identity", progress=interrupted)
    split(crowd, tmp_path / "out", HALVES, "identity")
    split(crowd, tmp_path / "whole", HALVES, "identity")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("identity", "nobody in it has an identity"),
        ("background", "meta 'background' is missing"),
        ("sequence", "of no sequence"),
    ],
)
def test_what_a_set_does_not_say_it_cannot_be_split_by(tmp_path, by, message):
    folder = write(tmp_path / "plain", [sample(f"k{n}", identities=[None]) for n in range(4)])
    with pytest.raises(DatasetError, match=message):
        split(folder, tmp_path / "out", HALVES, by)
    assert not (tmp_path / "out").exists()


def test_what_may_leak_is_told(tmp_path):
    results = [
        sample("a", identities=["p", None]),
        sample("b", identities=["q"]),
        sample("c"),
        sample("d", identities=["r"]),
    ]
    told = []
    split(write(tmp_path / "some", results), tmp_path / "out", HALVES, "identity", tell=told.append)
    assert told == ["note: 1 of 4 samples do not say every identity: what they do not say may leak"]


def test_one_group_cannot_be_two_parts(tmp_path):
    folder = write(tmp_path / "one", [sample(f"k{n}", identities=["same"]) for n in range(4)])
    with pytest.raises(DatasetError, match=r"part b would stay empty: .* 1 groups, the largest of 4 samples"):
        split(folder, tmp_path / "out", HALVES, "identity")


def test_holes_are_split_too(tmp_path):
    results = [Skipped(f"k{n}", "dark") if n % 4 == 0 else sample(f"k{n}", identities=[f"p{n}"]) for n in range(16)]
    made = split(write(tmp_path / "holes", results), tmp_path / "out", HALVES, "identity")
    skipped = [key for part in made.parts.values() for key, reason in part.skipped if reason == "dark"]
    assert sorted(skipped) == ["k0", "k12", "k4", "k8"]


@pytest.mark.parametrize(
    "text", ["train=0.8", "a=0.5,a=0.5", "../x=1", "a=x,b=1", "a=0,b=1", "a=-1,b=2", "", "a=nan,b=1"]
)
def test_strange_parts_are_refused(text):
    with pytest.raises(ConfigError, match="--parts"):
        parse_parts(text)


def test_parts_are_read():
    assert parse_parts("train=0.8, val=0.1,test=.1") == {"train": 0.8, "val": 0.1, "test": 0.1}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), max_size=12))
def test_groups_are_the_connected_components(marks):
    groups = connected(marks, [str(n) for n in range(len(marks))])
    assert sorted(n for group in groups for n in group) == list(range(len(marks)))
    of = {n: g for g, group in enumerate(groups) for n in group}
    reach = [{n} for n in range(len(marks))]  # by brute force: spread until nothing changes
    changed = True
    while changed:
        changed = False
        for a, b in itertools.permutations(range(len(marks)), 2):
            tied = set(marks[a]) & set(marks[b])
            if (tied or reach[a] & reach[b]) and not reach[b] <= reach[a]:
                reach[a] |= reach[b]
                changed = True
    for a, b in itertools.combinations(range(len(marks)), 2):
        assert (of[a] == of[b]) == (b in reach[a])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.sampled_from([(0.5, 0.5), (0.8, 0.2), (0.6, 0.3, 0.1)]))
def test_parts_are_about_as_near_to_their_sizes_as_can_be(sizes, shares):
    sizes = sorted(sizes, reverse=True)

    def miss(given_parts):
        got = [sum(s for s, p in zip(sizes, given_parts, strict=True) if p == part) for part in range(len(shares))]
        return sum(abs(g - share * sum(sizes)) for g, share in zip(got, shares, strict=True))

    best = min(map(miss, itertools.product(range(len(shares)), repeat=len(sizes))))
    assert miss(allot(sizes, shares)) <= best + 3


def test_single_samples_come_out_exactly():
    given_parts = allot([1] * 1000, (0.8, 0.1, 0.1))
    assert [given_parts.count(part) for part in range(3)] == [800, 100, 100]


def test_merging_keeps_everything(crowd, tmp_path):
    other = write(
        tmp_path / "other",
        [sample("x1"), Skipped("x2", "dark"), sample("x3")],
        notes={"licence": "MIT", "source": "cam"},
    )
    told = []
    made = merge([crowd, other], tmp_path / "out", tell=told.append)
    assert contents(made) == {**contents(Dataset.open(crowd)), **contents(Dataset.open(other))}
    assert made.skipped == [("x2", "dark")]
    assert verify.verify(tmp_path / "out").problems == ()
    notes = made.manifest.notes
    assert notes["licences"] == ["CC0-1.0", "MIT"]
    assert notes["sources"] == ["cam"]
    assert [p["fingerprint"] for p in notes["parents"]] == [Dataset.open(p).fingerprint for p in (crowd, other)]
    assert notes["parents"][0]["notes"]["stages"] == ["x"]
    assert told == []


def test_a_key_in_two_sets_is_an_error_unless_renamed(crowd, tmp_path):
    copy = write(
        tmp_path / "again" / "crowd", [sample("k00", identities=["p00"]), Skipped("k11", "dark"), sample("new")]
    )
    with pytest.raises(DatasetError, match="2 keys are in more than one place") as error:
        merge([crowd, copy], tmp_path / "out")
    assert "k00: in " in str(error.value)
    assert "k11: in " in str(error.value)
    assert not (tmp_path / "out").exists()
    told = []
    made = merge([crowd, copy], tmp_path / "out", rename=True, tell=told.append)
    assert len(made) == 18
    assert made.by_key("crowd-2_k00").people[0].identity == "p00"
    assert made.members(0)[1] == Dataset.open(crowd).members(0)[1]
    assert made.skipped == [("crowd-2_k11", "dark")]
    assert verify.verify(tmp_path / "out").problems == ()
    assert any("1 identities are in more than one set" in line for line in told)


def test_different_layers_are_told(tmp_path):
    depth = {"depth": np.ones((8, 8), np.float32)}
    a, b = write(tmp_path / "a", [sample("a", layers=depth)]), write(tmp_path / "b", [sample("b")])
    told = []
    merge([a, b], tmp_path / "out", tell=told.append)
    assert told == [f"note: {b}: not all of its samples have the layers depth"]


def test_one_set_is_nothing_to_merge(crowd, tmp_path):
    with pytest.raises(DatasetError, match="at least two"):
        merge([crowd], tmp_path / "out")


@pytest.fixture
def varied(tmp_path):
    big, small = {"box_xyxy_px": (0, 0, 6, 3), "visible_fraction": 0.9}, {"box_xyxy_px": (0, 0, 2, 2)}
    unknown = Sample(key="unknown", image=np.zeros((8, 8, 3), np.uint8))
    return write(
        tmp_path / "varied",
        [
            sample("empty", sequence="s1"),
            sample("big", identities=["a"], sequence="s2", background="hall.jpg", **big),
            Skipped("hole", "dark"),
            sample("small", identities=["a", "b"], layers={"depth": np.ones((8, 8), np.float32)}, **small),
            unknown,
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "keys", "holes"),
    [
        ({"min_people": 1}, ["big", "small"], 1),
        ({"max_people": 1}, ["empty", "big"], 1),
        ({"min_people": 2, "max_people": 2}, ["small"], 1),
        ({"min_visible": 0.5}, ["big"], 1),
        ({"min_size_px": 6}, ["big"], 1),
        ({"min_size_px": 2, "min_people": 2}, ["small"], 1),
        ({"min_visible": 0.5, "max_people": 0}, ["empty", "small"], 1),
        ({"keys": ("big", "sm*")}, ["big", "small"], 0),
        ({"keys": ("h*", "b?g")}, ["big"], 1),
        ({"sequences": ("s1",)}, ["empty"], 1),
        ({"backgrounds": ("hall*",)}, ["big"], 1),
        ({"layers": ("depth",)}, ["small"], 1),
    ],
)
def test_what_fulfils_the_conditions_stays(varied, tmp_path, conditions, keys, holes):
    made, places = filtered(varied, tmp_path / "out", Conditions(**conditions))
    assert list(made.keys()) == keys
    assert places == 5
    assert len(made.skipped) == holes
    source = contents(Dataset.open(varied))
    assert contents(made) == {key: source[key] for key in keys}
    record = made.manifest.notes["filter"]
    assert record["kept"] + sum(record["left_out"].values()) == 5
    assert set(record["conditions"]) == set(conditions)
    assert made.manifest.notes["parents"][0]["fingerprint"] == Dataset.open(varied).fingerprint


@pytest.mark.parametrize(
    "conditions", [{}, {"min_people": 3, "max_people": 2}, {"min_visible": 1.5}, {"min_visible": float("nan")}]
)
def test_conditions_that_cannot_be_are_refused(conditions):
    with pytest.raises(ConfigError):
        Conditions(**conditions)


def test_nothing_left_is_an_error(varied, tmp_path):
    with pytest.raises(DatasetError, match="no sample fulfils"):
        filtered(varied, tmp_path / "out", Conditions(min_people=9))
    assert not (tmp_path / "out").exists()


def test_processes_do_not_matter(tmp_path, monkeypatch):
    source = write(tmp_path / "source", [sample(f"k{n}", identities=["a"]) for n in range(12)])
    monkeypatch.setattr("synthkit.dataset.tools.copying._WORTH_A_PROCESS", 1)
    for workers in (0, 2):
        filtered(source, tmp_path / str(workers), Conditions(min_people=1), workers=workers)
    assert files(tmp_path / "0") == files(tmp_path / "2")


def test_damage_travels_and_is_found(tmp_path):
    """What is copied keeps its digest, so that a silent change of the source shows in the copy."""
    source = write(tmp_path / "source", [sample("a", identities=["me"]), sample("b", identities=["you"])])
    tar = next(source.rglob("*.tar"))
    tar.write_bytes(tar.read_bytes().replace(b'"identity":"me"', b'"identity":"he"'))
    filtered(source, tmp_path / "out", Conditions(min_people=1))
    problems = verify.verify(tmp_path / "out").problems
    assert len(problems) == 1
    assert "sample a: its content is not that of its digest" in problems[0]


def test_strangers_sets_are_split_too(tmp_path):
    source = write(tmp_path / "source", [sample(f"k{n}", identities=[f"p{n}"]) for n in range(6)])
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for tar in source.rglob("*.tar"):
        (stranger / tar.name).write_bytes(tar.read_bytes())
    made = split(stranger, tmp_path / "out", HALVES, "identity")
    assert [len(part) for part in made.parts.values()] == [3, 3]
    for part in made.parts.values():
        assert verify.verify(part.location).problems == ()


def synthkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_commands(crowd, tmp_path):
    out = str(tmp_path / "out")
    done = synthkit("split", str(crowd), "--out", out, "--by", "identity", "--parts", "a=0.5,b=0.5")
    assert done.returncode == 0, done.stderr
    assert "a: " in done.stdout
    assert "(8 samples, asked for 50%)" in done.stdout
    done = synthkit("merge", f"{out}/a", f"{out}/b", "--out", f"{out}/m")
    assert done.returncode == 0, done.stderr
    assert contents(Dataset.open(f"{out}/m")) == contents(Dataset.open(crowd))
    done = synthkit("filter", f"{out}/m", f"{out}/f", "--key", "k0*", "--min-people", "2")
    assert done.returncode == 0, done.stderr
    assert "(4 samples of 16 places)" in done.stdout


MISTAKES = {
    "split by what": (["split", "{crowd}", "--out", "{out}", "--by", "idntity"], "did you mean 'identity'"),
    "shares": (["split", "{crowd}", "--out", "{out}", "--by", "sample", "--parts", "a=0.4,b=0.4"], "sum to 0.8"),
    "no condition": (["filter", "{crowd}", "{out}"], "needs a condition"),
    "one set": (["merge", "{crowd}", "--out", "{out}"], "at least two"),
    "no set": (["merge", "{crowd}", "{crowd}x", "--out", "{out}"], "there is no such data set"),
    "into the set itself": (["filter", "{crowd}", "{crowd}", "--min-people", "1"], "holds a data set made with other"),
}


@pytest.mark.parametrize("case", sorted(MISTAKES))
def test_mistakes_are_told_in_a_line(crowd, tmp_path, case):
    arguments, message = MISTAKES[case]
    before = files(crowd)
    done = synthkit(*(part.format(crowd=crowd, out=tmp_path / "out") for part in arguments))
    assert done.returncode == SynthkitError.exit_code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert files(crowd) == before
    assert not (tmp_path / "out").exists()


def test_records_are_json(crowd, tmp_path):
    split(crowd, tmp_path / "out", HALVES, "sample")
    for part in HALVES:
        table = json.loads((Path(tmp_path) / "out" / part / "dataset.json").read_bytes())
        assert table["identity"]["split"]["part"] == part


def test_sets_at_urls(crowd, tmp_path, request):
    pytest.importorskip("fsspec")
    place = f"memory://{request.node.name}-{tmp_path.name}"
    made = split(crowd, place, HALVES, "identity")
    both = merge([made.parts["a"].location, made.parts["b"].location], f"{place}/both")
    assert contents(both) == contents(Dataset.open(crowd))
    chosen, _ = filtered(f"{place}/both", tmp_path / "out", Conditions(keys=("k0*",)))
    assert chosen.manifest.notes["parents"][0]["path"] == f"{place}/both"
    assert verify.verify(tmp_path / "out").problems == ()
