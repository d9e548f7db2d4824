# SPDX-License-Identifier: Apache-2.0
"""A data set in parts of which none knows what is in another: whole people, rooms or clips go to one part."""

from __future__ import annotations

import collections
import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

import attrs

from synthkit.config import nearest
from synthkit.dataset.formats.splits import split_name
from synthkit.dataset.reader import Dataset
from synthkit.dataset.stores import is_url
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.allotment import allot
from synthkit.dataset.tools.copying import Origin, Pick
from synthkit.dataset.tools.outputs import check_apart
from synthkit.dataset.tools.survey import Glance, glances
from synthkit.errors import ConfigError, DatasetError
from synthkit.execution import Executor
from synthkit.interfaces import Progress, silent
from synthkit.sample import Skipped

By = Literal["identity", "background", "sequence", "sample"]

_REVISION = 2  # 1 left samples the split that they had before
_PART = re.compile(r"[\w-]{1,64}")


def parse_parts(text: str) -> dict[str, float]:
    """Return the shares of parts given as ``train=0.8,val=0.2``.

    Raises:
        ConfigError: when a name or share is no such, or the shares do not sum to 1.
    """
    shares: dict[str, float] = {}
    problems = []
    for item in text.split(","):
        name, _, share = (part.strip() for part in item.partition("="))
        if not _PART.fullmatch(name) or name in shares:
            problems.append(f"--parts: {name!r} {'comes twice' if name in shares else 'is no name for a part'}")
            continue
        try:
            shares[name] = float(share)
        except ValueError:
            shares[name] = 0.0
        if not 0 < shares[name] <= 1:
            problems.append(f"--parts: {name} has the share {share!r}, expected a number above 0 and up to 1")
    if not problems and abs(sum(shares.values()) - 1) > 1e-6:
        problems.append(f"--parts: the shares sum to {sum(shares.values()):g}, expected 1")
    if problems:
        raise ConfigError(problems)
    return shares


def checked_by(texts: Sequence[str]) -> tuple[By, ...]:
    """Return what to split by, each once and in one order.

    Raises:
        ConfigError: when there is nothing, something else, or ``sample`` beside others.
    """
    known = get_args(By)
    problems = [
        f"--by: expected one of {', '.join(known)}, got {text!r}{nearest(text, known)}"
        for text in texts
        if text not in known
    ]
    if not texts:
        problems.append(f"--by: expected one of {', '.join(known)}")
    if "sample" in texts and len(set(texts)) > 1:
        problems.append("--by sample: ties nothing together; leave it out beside others")
    if problems:
        raise ConfigError(problems)
    return cast(tuple[By, ...], tuple(by for by in known if by in texts))


@attrs.frozen(eq=False)
class Split:
    """The parts by name, and how many groups there were."""

    parts: Mapping[str, Dataset]
    groups: int


def split(
    source: Path | str,
    out: Path | str,
    shares: Mapping[str, float],
    by: Sequence[By],
    *,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda line: None,
) -> Split:
    """Write each part of a set as ``out``/NAME, or what is left to write.

    Samples that share an identity (background, sequence) go to the same part, and so do all that are
    tied by others in between. Which part that is depends on keys, shares and seed, not on the order of
    the samples. A hole goes by its key, as a group of its own. The copies' ``meta`` names their part as
    their split, so that it is known when parts are merged and written in another format.

    Args:
        shares: by name, summing to 1. by: what must not be in two parts, each of them.
        tell: takes lines that the user should read.

    Raises:
        ConfigError: when ``by`` is not as ``checked_by`` gives it. DatasetError: when nothing says what the
            samples are to be split by, when a part would stay empty or lie in the set, or when ``out``
            holds something else.
    """
    by, data = checked_by(by), Dataset.open(source)
    for name in shares:
        check_apart([data], below(out, name))
    places = copying.picks(data)
    marked = _marked(data, places, by, progress)
    keys, marks = [one.key for one in marked], [one.marks for one in marked]
    unknown = _unknown(data, marked, by, tell)
    groups = connected(marks, keys)
    members = _assigned(groups, keys, shares, seed)
    _check_filled(data, members, places, groups, by)
    asked = {"by": list(by), "seed": seed, "shares": dict(shares)}
    counts = {name: len(found) for name, found in members.items()}
    record = {**asked, "groups": len(groups), "unknown": unknown, "places": counts}
    made = {}
    for name in shares:
        identity = {"split": {"revision": _REVISION, **asked, "part": name}, "source": data.fingerprint}
        part = below(out, name)
        notes = copying.inherited(data, part, split={**record, "part": name})
        made[name] = copying.copy(
            [Origin(data, split=split_name(name))], [places[n] for n in members[name]], part, identity=identity,
            notes=notes, verb=f"split {name}", executor=executor, progress=progress,
        )  # fmt: skip
    return Split(made, len(groups))


def below(folder: Path | str, name: str) -> Path | str:
    """Return the place of that name in a folder or below a URL."""
    return f"{str(folder).rstrip('/')}/{name}" if is_url(folder) else Path(folder) / name


def _assigned(
    groups: Sequence[list[int]], keys: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Return the positions of each part, in order."""
    names = sorted(shares)
    ranked = sorted(groups, key=lambda group: (-len(group), _rank(seed, min(keys[n] for n in group))))
    members: dict[str, list[int]] = {name: [] for name in names}
    for group, part in zip(ranked, allot(list(map(len, ranked)), [shares[name] for name in names]), strict=True):
        members[names[part]] += group
    return {name: sorted(found) for name, found in members.items()}


def connected(marks: Sequence[Iterable[Hashable]], keys: Sequence[str]) -> list[list[int]]:
    """Return the groups of positions that are tied by common marks, directly or through others.

    A position without marks is a group of its own.
    """
    parents = list(range(len(keys)))

    def root(n: int) -> int:
        while parents[n] != n:
            parents[n] = parents[parents[n]]
            n = parents[n]
        return n

    first: dict[Hashable, int] = {}
    for n, own in enumerate(marks):
        for mark in own:
            parents[root(n)] = root(first.setdefault(mark, n))
    groups: dict[int, list[int]] = {}
    for n in range(len(keys)):
        groups.setdefault(root(n), []).append(n)
    return list(groups.values())


@attrs.frozen
class _Marked:
    """A place's key, what ties it to others (of which kind, by name), and kinds of which not all is known."""

    key: str
    marks: Sequence[tuple[By, str]] = ()
    unknown: Sequence[By] = ()


def _marked(data: Dataset, places: Sequence[Pick], by: Sequence[By], progress: Progress) -> list[_Marked]:
    if "sample" in by:
        seen = [_Marked(key) for key in data.keys()]  # noqa: SIM118 - a data set is no mapping
    else:
        light = Dataset.open(data.location, layers=())
        seen = [_marks_of(one, by) for one in glances(light, stage="look", progress=progress)]
    return [_Marked(p.slot.key) if isinstance(p.slot, Skipped) else seen[p.slot] for p in places]


def _marks_of(seen: Glance, by: Sequence[By]) -> _Marked:
    named: list[tuple[By, str | None]] = []
    for kind in by:
        if kind == "identity":
            named += [(kind, None)] if seen.people is None else [(kind, person.identity) for person in seen.people]
        else:
            named.append((kind, seen.background if kind == "background" else seen.sequence))
    marks = {(kind, name) for kind, name in named if name is not None}
    return _Marked(seen.key, sorted(marks), [kind for kind in by if (kind, None) in named])


def _unknown(data: Dataset, marked: Sequence[_Marked], by: Sequence[By], tell: Callable[[str], None]) -> int:
    """Return how many samples do not say all that they are split by, and tell it.

    Raises:
        DatasetError: when none of them says anything of a kind.
    """
    lacking = {
        "identity": "nobody in it has an identity",
        "background": "its samples do not say which background they have (meta 'background' is missing: the"
        " renderer notes it where photos of rooms are given; a procedural room is another one in each scene)",
        "sequence": "its samples are of no sequence",
    }
    found = {kind for one in marked for kind, _ in one.marks}
    for kind in by:
        if kind in lacking and kind not in found:
            raise DatasetError(f"{data.location}: cannot be split by {kind}: {lacking[kind]}; choose another --by")
        count = sum(kind in one.unknown for one in marked)
        if count:
            tell(f"note: {count} of {len(marked)} samples do not say every {kind}: what they do not say may leak")
    return sum(bool(one.unknown) for one in marked)


def _check_filled(
    data: Dataset,
    members: Mapping[str, Sequence[int]],
    places: Sequence[Pick],
    groups: Sequence[list[int]],
    by: Sequence[By],
) -> None:
    sound = {n for n, pick in enumerate(places) if not isinstance(pick.slot, Skipped)}
    empty = [name for name, found in members.items() if not sound.intersection(found)]
    if empty:
        sizes = collections.Counter(map(len, groups))
        raise DatasetError(
            f"{data.location}: part {' and '.join(empty)} would stay empty: by {' and '.join(by)} there are"
            f" {len(groups)} groups, the largest of {max(sizes)} samples; give fewer or larger parts, or another --by"
        )


def _rank(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()
