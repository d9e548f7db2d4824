# SPDX-License-Identifier: Apache-2.0
"""Split, merge and filter: every byte as it was, nothing leaks, nothing is lost in silence."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synthkit.dataset import Dataset, DatasetWriter, description, formats, verify
from synthkit.dataset.sidecars import SidecarSet
from synthkit.dataset.tools.allotment import allot
from synthkit.dataset.tools.copying import CopyJob
from synthkit.dataset.tools.filter import Conditions, filtered
from synthkit.dataset.tools.merge import merge
from synthkit.dataset.tools.repair import repair
from synthkit.dataset.tools.split import connected, parse_parts, split
from synthkit.dataset.tools.stats import stats
from synthkit.errors import ConfigError, DatasetError, SynthkitError, WorkError
from synthkit.execution import Local
from synthkit.sample import Person, Sample, Sidecar, Skipped

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


def without_split(data):
    """The members of every sample, with its split taken out of the description; and that split by key."""
    members, splits = contents(data), {}
    for key, found in members.items():
        table = json.loads(found["json"])
        splits[key] = table.get("meta", {}).pop("split", None)
        if not table.get("meta"):
            table.pop("meta", None)
        found["json"] = description.dump(table)
    return members, splits


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
    made = split(crowd, tmp_path / "out", HALVES, ["identity"])
    assert made.groups == 4
    people = {name: {p.identity for s in part for p in s.people} for name, part in made.parts.items()}
    assert not people["a"] & people["b"]
    assert [len(part) for part in made.parts.values()] == [8, 8]
    whole = contents(Dataset.open(crowd))
    found = {name: without_split(part) for name, part in made.parts.items()}
    assert {**found["a"][0], **found["b"][0]} == whole
    for name, part in made.parts.items():
        assert set(found[name][1].values()) == {name}
        assert verify.verify(part.location).problems == ()


@pytest.mark.parametrize(("by", "field"), [("sequence", "sequence"), ("background", "background")])
def test_clips_and_rooms_stay_together(crowd, tmp_path, by, field):
    made = split(crowd, tmp_path / "out", HALVES, [by])
    seen = [{s.sequence if field == "sequence" else s.meta["background"] for s in part} for part in made.parts.values()]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_a_split_is_on_record(crowd, tmp_path):
    made = split(crowd, tmp_path / "out", HALVES, ["identity"], seed=7)
    notes = made.parts["a"].manifest.notes
    assert notes["licence"] == "CC0-1.0"
    assert notes["stages"] == ["x"]
    assert notes["parents"] == [
        {"path": "../../crowd", "fingerprint": Dataset.open(crowd).fingerprint, "samples": 16, "skipped": 0}
    ]
    assert notes["split"]["by"] == ["identity"]
    assert notes["split"]["part"] == "a"
    assert notes["split"]["places"] == {"a": 8, "b": 8}


def test_a_split_depends_on_seed_and_keys_alone(crowd, tmp_path):
    def keys(folder, source, seed):
        return {
            n: set(part.keys())
            for n, part in split(source, tmp_path / folder, HALVES, ["sample"], seed=seed).parts.items()
        }

    first = keys("one", crowd, 0)
    assert keys("two", crowd, 1) != first
    shuffled = write(
        tmp_path / "shuffled", [Dataset.open(crowd)[int(i)] for i in np.random.default_rng(3).permutation(16)]
    )
    assert keys("three", shuffled, 0) == first


def test_a_split_again_changes_nothing(crowd, tmp_path):
    split(crowd, tmp_path / "out", HALVES, ["sample"])
    before = files(tmp_path / "out")
    split(crowd, tmp_path / "out", HALVES, ["sample"])
    assert files(tmp_path / "out") == before
    with pytest.raises(DatasetError, match="made with other settings"):
        split(crowd, tmp_path / "out", HALVES, ["sample"], seed=1)


@pytest.mark.parametrize("moment", [0, 2, 5, 8])
def test_an_interrupted_split_goes_on(crowd, tmp_path, moment, monkeypatch):
    monkeypatch.setattr("synthkit.dataset.tools.copying._SCENES_PER_SHARD", 2)

    def interrupted(stage, done, total, note=""):
        calls.append(stage)
        if stage.startswith("split") and sum(name.startswith("split") for name in calls) > moment:
            raise KeyboardInterrupt

    calls = []
    with pytest.raises(KeyboardInterrupt):
        split(crowd, tmp_path / "out", HALVES, ["identity"], progress=interrupted)
    split(crowd, tmp_path / "out", HALVES, ["identity"])
    split(crowd, tmp_path / "whole", HALVES, ["identity"])
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.fixture
def divided(tmp_path):
    """Twelve images of which each says that it is for training."""
    made = []
    for n in range(12):
        image = np.full((32, 32, 3), n * 20, np.uint8)
        people = [Person(box_xyxy_px=(2, 2, 20, 30), identity=f"p{n}")]
        made.append(Sample(key=f"k{n:02d}", image=image, people=people, meta={"split": "train", "camera": n}))
    return write(tmp_path / "divided", made)


def test_parts_stay_parts_when_they_are_merged_and_exported(divided, tmp_path):
    made = split(divided, tmp_path / "parts", {"train": 0.5, "validation": 0.25, "test": 0.25}, ["sample"])
    joined = merge([part.location for part in made.parts.values()], tmp_path / "joined")
    formats.export(joined.path, tmp_path / "yolo", "yolo")
    for folder, part in (("train", "train"), ("val", "validation"), ("test", "test")):
        listed = {path.stem for path in (tmp_path / "yolo" / "images" / folder).iterdir()}
        assert listed == set(made.parts[part].keys()), folder
    formats.export(joined.path, tmp_path / "voc", "voc")
    listed = (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").read_text().split()
    assert listed == sorted(made.parts["validation"].keys())
    for place in (*(part.location for part in made.parts.values()), joined.location):
        assert verify.verify(place).problems == ()


def test_a_split_changes_nothing_but_the_split(divided, tmp_path):
    source = Dataset.open(divided)
    made = split(divided, tmp_path / "parts", {"train": 0.5, "val": 0.5}, ["sample"])
    for name, part in made.parts.items():
        for key, members in contents(part).items():
            before = source.members(source.position(key))[1]
            assert members["png"] == before["png"]
            assert (members == before) == (name == "train"), "what says so already stays byte for byte"
            assert part.by_key(key).meta == {**source.by_key(key).meta, "split": name}


def test_the_query_of_what_is_tested_with_stays_one(tmp_path):
    made = [attrs.evolve(sample(f"k{n}"), meta={"split": "query" if n % 2 else "test"}) for n in range(8)]
    parts = split(write(tmp_path / "market", made), tmp_path / "parts", {"train": 0.5, "test": 0.5}, ["sample"]).parts
    assert {one.meta["split"] for one in parts["train"]} == {"train"}
    for one in parts["test"]:
        assert one.meta["split"] == ("query" if int(one.key[1:]) % 2 else "test")


def test_a_damaged_sample_gets_no_new_digest(divided, tmp_path):
    tar = next(divided.rglob("*.tar"))
    tar.write_bytes(tar.read_bytes().replace(b'"identity":"p1"', b'"identity":"q1"'))
    with pytest.raises(SynthkitError, match="sample k01: its content is not that of its digest"):
        split(divided, tmp_path / "parts", {"val": 0.5, "test": 0.5}, ["sample"])


def test_people_and_rooms_stay_together_at_once(tmp_path):
    """k0 and k1 share a person, k1 and k2 a room: all three are one group; by one of both they are not."""
    made = [
        sample("k0", identities=["a"], background="x.jpg"),
        sample("k1", identities=["a"], background="y.jpg"),
        sample("k2", identities=["b"], background="y.jpg"),
        *(sample(f"o{n}", identities=[f"y.jpg{n}"], background=f"b{n}") for n in range(3)),
    ]
    source = write(tmp_path / "set", made)
    done = split(source, tmp_path / "out", HALVES, ["background", "identity"])
    assert done.groups == 4
    assert {"k0", "k1", "k2"} in [set(part.keys()) for part in done.parts.values()]
    assert done.parts["a"].manifest.notes["split"]["by"] == ["identity", "background"]
    assert split(source, tmp_path / "one", HALVES, ["identity"]).groups == 5


def test_a_name_is_no_tie_to_the_same_name_of_something_else(tmp_path):
    made = [sample("k0", identities=["a"], background="b"), sample("k1", identities=["b"], background="a")]
    assert split(write(tmp_path / "set", made), tmp_path / "out", HALVES, ["identity", "background"]).groups == 2


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
        split(folder, tmp_path / "out", HALVES, [by])
    assert not (tmp_path / "out").exists()


def test_what_may_leak_is_told(tmp_path):
    results = [
        sample("a", identities=["p", None]),
        sample("b", identities=["q"]),
        sample("c"),
        sample("d", identities=["r"]),
    ]
    told = []
    split(write(tmp_path / "some", results), tmp_path / "out", HALVES, ["identity"], tell=told.append)
    assert told == ["note: 1 of 4 samples do not say every identity: what they do not say may leak"]


def test_one_group_cannot_be_two_parts(tmp_path):
    folder = write(tmp_path / "one", [sample(f"k{n}", identities=["same"]) for n in range(4)])
    with pytest.raises(DatasetError, match=r"part b would stay empty: .* 1 groups, the largest of 4 samples"):
        split(folder, tmp_path / "out", HALVES, ["identity"])


def test_holes_are_split_too(tmp_path):
    results = [Skipped(f"k{n}", "dark") if n % 4 == 0 else sample(f"k{n}", identities=[f"p{n}"]) for n in range(16)]
    made = split(write(tmp_path / "holes", results), tmp_path / "out", HALVES, ["identity"])
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
@example([9, 8, 6, 5, 5, 5], (0.8, 0.2))
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
    assert made.members(0)[1]["png"] == Dataset.open(crowd).members(0)[1]["png"]
    assert made[0].people == Dataset.open(crowd)[0].people
    assert made.skipped == [("crowd-2_k11", "dark")]
    assert verify.verify(tmp_path / "out").problems == ()
    assert any("1 identities are in more than one set" in line for line in told)


def test_clips_of_the_same_name_are_told_or_renamed(tmp_path):
    a = write(tmp_path / "a", [sample("a1", sequence="vtest"), sample("a2")])
    b = write(tmp_path / "b", [sample("b1", sequence="vtest")])
    told = []
    merge([a, b], tmp_path / "joined", tell=told.append)
    assert told == ["note: 1 sequences are in more than one set and count as the same clips (vtest)"]
    told.clear()
    made = merge([a, b], tmp_path / "renamed", rename=True, tell=told.append)
    assert [one.sequence for one in made] == ["a_vtest", None, "b_vtest"]
    assert told == []
    assert verify.verify(made.location).problems == ()


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


def test_processes_do_not_matter_nor_does_being_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("synthkit.dataset.tools.copying._SCENES_PER_SHARD", 3)
    hole = Skipped("h", "broken")
    source = write(tmp_path / "source", [hole, *(sample(f"k{n}", identities=["a"]) for n in range(12))])
    for workers in (0, 2):
        filtered(source, tmp_path / str(workers), Conditions(min_people=1), executor=Local(workers))
    assert files(tmp_path / "0") == files(tmp_path / "2")
    killed = tmp_path / "killed"

    def stop(verb, done, total):
        if verb == "filter" and done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filtered(source, killed, Conditions(min_people=1), progress=stop)
    assert 0 < len(list(killed.glob("shards/0*.json"))) < 5
    (killed / "shards" / ".000002.tar.123.0123abcd.tmp").write_bytes(b"of a process that was killed")
    filtered(source, killed, Conditions(min_people=1))
    assert files(killed) == files(tmp_path / "0")


def test_a_machine_with_another_source_is_refused(tmp_path):
    source = write(tmp_path / "source", [sample("a", identities=["me"])])
    job = CopyJob([(str(source), "0" * 64, "", None)], [(0, 0)])
    with pytest.raises(WorkError, match="source: is another data set on "):
        job.check_machine()


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
    made = split(stranger, tmp_path / "out", HALVES, ["identity"])
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
    assert without_split(Dataset.open(f"{out}/m"))[0] == contents(Dataset.open(crowd))
    done = synthkit("filter", f"{out}/m", f"{out}/f", "--key", "k0*", "--min-people", "2")
    assert done.returncode == 0, done.stderr
    assert "(4 samples of 16 places)" in done.stdout


MISTAKES = {
    "split by what": (["split", "{crowd}", "--out", "{out}", "--by", "idntity"], "did you mean 'identity'"),
    "shares": (["split", "{crowd}", "--out", "{out}", "--by", "sample", "--parts", "a=0.4,b=0.4"], "sum to 0.8"),
    "no condition": (["filter", "{crowd}", "{out}"], "needs a condition"),
    "one set": (["merge", "{crowd}", "--out", "{out}"], "at least two"),
    "no set": (["merge", "{crowd}", "{crowd}x", "--out", "{out}"], "there is no such data set"),
    "parts inside the set": (["split", "{crowd}", "--out", "{crowd}", "--by", "sample"], "which it is made from"),
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


def test_the_command_splits_by_several_things(crowd, tmp_path):
    out = str(tmp_path / "out")
    done = synthkit("split", str(crowd), "--out", out, "--by", "identity", "--by", "sequence", "--parts", "a=0.5,b=0.5")
    assert done.returncode == SynthkitError.exit_code
    assert "by identity and sequence there are 1 groups, the largest of 16 samples" in done.stderr


@pytest.mark.parametrize("place", [".", "new", "shards/new"])
def test_nothing_is_written_into_the_set_itself(crowd, divided, place):
    before = files(crowd)
    for attempt in (
        lambda: filtered(crowd, crowd / place, Conditions(keys=("*",))),
        lambda: merge([divided, crowd], crowd / place),
        lambda: split(crowd, crowd / place, HALVES, ["sample"]),
        lambda: split(crowd, crowd.parent, {crowd.name: 0.5, "rest": 0.5}, ["sample"]),
    ):
        with pytest.raises(DatasetError, match="which it is made from"):
            attempt()
    assert files(crowd) == before


def test_a_repair_does_not_go_into_what_it_repairs(crowd):
    before = files(crowd)
    with pytest.raises(DatasetError, match="which it is made from"):
        repair(crowd, crowd / "sound")
    assert files(crowd) == before


@pytest.mark.parametrize(
    ("by", "message"), [([], "expected one of"), (["sample", "identity"], "ties nothing together")]
)
def test_what_nothing_can_be_split_by_is_refused(crowd, tmp_path, by, message):
    with pytest.raises(ConfigError, match=message):
        split(crowd, tmp_path / "out", HALVES, by)


def test_nothing_is_written_into_another_set(crowd, divided):
    with pytest.raises(DatasetError, match="is in the data set"):
        filtered(crowd, divided / "shards" / "new", Conditions(keys=("*",)))
    assert not (divided / "shards" / "new").exists()


def found_later(n):
    layers = {"instances": np.full((8, 8), n % 2, np.uint8)}
    return Sidecar(key=f"k{n}", people=[Person(instance=1, identity=f"p{n % 4}", box_xyxy_px=(0, 0, 8, 8))][: n % 2],
                   layers=layers, meta={"detector": "squeeze"})  # fmt: skip


def test_sets_of_sidecars_are_split_filtered_merged_and_counted(tmp_path):
    source = write(tmp_path / "found", [*map(found_later, range(8)), Skipped("k8", "dark")])
    whole = contents(Dataset.open(source))
    made = split(source, tmp_path / "parts", HALVES, ["identity"])
    assert {**contents(made.parts["a"]), **contents(made.parts["b"])} == whole
    people = [{json.loads(m["json"])["people"][0]["identity"] for m in contents(part).values() if b"p1" in m["json"]}
              for part in made.parts.values()]  # fmt: skip
    assert sorted(map(len, people)) == [0, 1]
    joined = merge([part.location for part in made.parts.values()], tmp_path / "joined")
    assert contents(joined) == whole
    renamed = merge([source, joined.location], tmp_path / "renamed", rename=True)
    assert SidecarSet.open("squeeze", renamed.location).by_key("found_k3").people[0].identity == "p3"
    chosen, places = filtered(source, tmp_path / "chosen", Conditions(min_people=1, layers=("instances",)))
    assert (sorted(chosen.keys()), places) == (["k1", "k3", "k5", "k7"], 9)
    for place in (*(part.location for part in made.parts.values()), joined.location, renamed.location, chosen.location):
        assert verify.verify(place).problems == ()
    counted = stats(source)
    assert (counted.samples, counted.people, counted.skipped, counted.identities) == (8, 4, 1, 2)
    assert counted.image_sizes_px == {}


def test_records_are_json(crowd, tmp_path):
    split(crowd, tmp_path / "out", HALVES, ["sample"])
    for part in HALVES:
        table = json.loads((Path(tmp_path) / "out" / part / "dataset.json").read_bytes())
        assert table["identity"]["split"]["part"] == part


def test_sets_at_urls(crowd, tmp_path, request):
    pytest.importorskip("fsspec")
    place = f"memory://{request.node.name}-{tmp_path.name}"
    made = split(crowd, place, HALVES, ["identity"])
    both = merge([made.parts["a"].location, made.parts["b"].location], f"{place}/both")
    assert without_split(both)[0] == contents(Dataset.open(crowd))
    chosen, _ = filtered(f"{place}/both", tmp_path / "out", Conditions(keys=("k0*",)))
    assert chosen.manifest.notes["parents"][0]["path"] == f"{place}/both"
    assert verify.verify(tmp_path / "out").problems == ()
