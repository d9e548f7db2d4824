# SPDX-License-Identifier: Apache-2.0
"""Which views are compared: each person's with each other, and with those of others as the scale."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.interfaces import State
from synthkit.seeds import Seeds

Pairs = npt.NDArray[np.int64]

_MOST_VIEWS = 2000  # of a person, and of others, that pairs are drawn from


@attrs.frozen(eq=False)
class Comparison:
    """The pairs of one person.

    Args:
        identity: who. kind: ``scenes``, ``frames`` of one clip, or ``draws`` of one image.
        own: (N, 2) rows of the views that are compared. others: (M, 2), the person's with those of other people.
    """

    identity: str
    kind: str
    own: Pairs
    others: Pairs


def within_set(views: State, most: int, seeds: Seeds) -> Iterator[Comparison]:
    """Yield the comparisons of views of one set, by person: across scenes, and across frames of clips.

    Those with other people are between views as far apart: of other scenes, or of other frames of the same clip.

    Args:
        views: ``key``, ``sequence``, ``identity`` of each, sorted. most: pairs of a person; more are drawn from.
    """
    key, sequence, identity = _numbered(views["key"]), _numbered(views["sequence"]), views["identity"]
    clip = views["sequence"] != ""
    for who in np.unique(identity):
        for kind in ("scenes", "frames"):
            streams = seeds.child(kind, str(who))
            mine, theirs = np.flatnonzero(identity == who), np.flatnonzero(identity != who)
            if kind == "frames":
                theirs = theirs[clip[theirs] & np.isin(sequence[theirs], sequence[mine[clip[mine]]])]
            mine, theirs = _some(mine, _MOST_VIEWS, streams, "mine"), _some(theirs, _MOST_VIEWS, streams, "theirs")
            own = mine[np.stack(np.triu_indices(len(mine), 1), axis=1)]
            own, others = (_of_kind(pairs, kind, key, sequence, clip) for pairs in (own, _product(mine, theirs)))
            if len(own):
                yield Comparison(
                    str(who), kind, _some(own, most, streams, "own"), _some(others, 2 * most, streams, "others")
                )


def across_sets(candidate: State, reference: State, most: int, seeds: Seeds) -> Iterator[Comparison]:
    """Yield the comparisons of views of one set with those of another, by person: the same person in the same image.

    Rows of the reference count on from those of the candidate. Others are other people in other images.
    """
    keys, identities = (np.concatenate([candidate[name], reference[name]]) for name in ("key", "identity"))
    ours = np.arange(len(keys)) < len(candidate["key"])
    for who in np.unique(candidate["identity"]):
        streams = seeds.child("draws", str(who))
        mine = _some(np.flatnonzero(ours & (identities == who)), _MOST_VIEWS, streams, "mine")
        same = np.flatnonzero(~ours & (identities == who) & np.isin(keys, keys[mine]))
        other = _some(np.flatnonzero(~ours & (identities != who)), _MOST_VIEWS, streams, "theirs")
        pairs, apart = _product(mine, same), _product(mine, other)
        own = _some(pairs[keys[pairs[:, 0]] == keys[pairs[:, 1]]], most, streams, "own")
        if len(own):
            others = apart[keys[apart[:, 0]] != keys[apart[:, 1]]]
            yield Comparison(str(who), "draws", own, _some(others, 2 * most, streams, "others"))


def _of_kind(pairs: Pairs, kind: str, key: Pairs, sequence: Pairs, clip: npt.NDArray[np.bool_]) -> Pairs:
    """Return the pairs that are of two images, and of one clip or not."""
    first, second = pairs.T
    one_clip = clip[first] & (sequence[first] == sequence[second])
    return np.asarray(pairs[(key[first] != key[second]) & (one_clip if kind == "frames" else ~one_clip)])


def _product(first: Pairs, second: Pairs) -> Pairs:
    return np.stack([np.repeat(first, len(second)), np.tile(second, len(first))], axis=1)


def _some(rows: Pairs, most: int, seeds: Seeds, name: str) -> Pairs:
    """Return at most so many rows, drawn, in their order."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.sort(seeds.stream(name).choice(len(rows), most, replace=False))])


def _numbered(names: npt.NDArray[np.str_]) -> Pairs:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
