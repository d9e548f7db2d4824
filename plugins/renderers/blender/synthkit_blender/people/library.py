# SPDX-License-Identifier: Apache-2.0
"""From a specification to a dressed, posed person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import mpfb
from synthkit_blender.people.arrays import ArrayCache
from synthkit_blender.people.assets.catalogue import Catalogue
from synthkit_blender.people.assets.dressing import Dresser
from synthkit_blender.people.assets.store import AssetStore
from synthkit_blender.people.belongings import Outfitter
from synthkit_blender.people.bodies import PosedBody, Sculptor
from synthkit_blender.people.clothing import Clothier, with_pockets
from synthkit_blender.people.describing import describe
from synthkit_blender.people.expressions import target_weights
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.hair import Barber
from synthkit_blender.people.keypoints import Landmarks, named_points
from synthkit_blender.people.nature import Nature
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.skeleton import Skin
from synthkit_blender.people.targets import TargetStore, data_digest
from synthkit_blender.people.types import IdentitySpec, MeshPart, OutfitSpec, PersonSpec, PosedPerson


class BodyLibrary:
    """Builds people; parsed data is kept in memory and, where a cache folder is given, on disk.

    Its ``sculptor`` makes bodies alone. Raises mpfb.PeopleDataError where the body data is not installed.
    """

    def __init__(self, cache_dir: Path | None = None, assets: Path | None = None) -> None:
        folder = mpfb.find_data_dir()
        mesh = mpfb.parse_base_mesh(folder)
        skin = Skin.from_rig(mpfb.parse_skin_weights(folder), len(mesh.vertices_m))
        body = mesh.group_vertices(mpfb.BODY)
        at = BodyCoordinates.of(mesh, skin)
        cache = ArrayCache(cache_dir, data_digest(folder))
        self._landmarks = Landmarks.of(mesh, body)
        self._targets = TargetStore(folder, cache)
        self._head = np.flatnonzero(skin.dense("head", "neck03")[: len(body)] > 0.6)
        self._store: AssetStore | None = None
        dresser = None
        if assets is not None:
            body_uv = cache.get("body-uv", lambda: {"uv": mpfb.parse_face_uv(folder, mpfb.BODY)})["uv"]
            self._store = AssetStore(assets, cache_dir, mesh, at, body_uv)
            dresser = Dresser(self._store, mesh, body_uv)
        self._dresser = dresser
        self.sculptor = Sculptor(mesh, skin, at, self._targets)
        self._clothier = Clothier(mesh, at, dresser)
        self._nature = Nature(mesh, Barber(mesh, skin, self._landmarks), dresser)
        self._outfitter = Outfitter(self.sculptor, at, self._head, self._landmarks.ears)

    @property
    def catalogue(self) -> Catalogue:
        """The assets that people may be drawn with."""
        return Catalogue() if self._store is None else self._store.catalogue

    @property
    def left_out(self) -> dict[str, str]:
        """The assets that cannot be used, by name, and why."""
        return {} if self._store is None else self._store.left_out

    def shape(self, identity: IdentitySpec) -> NDArray[np.float32]:
        """Return the rest shape (V, 3) of an identity, as ``Sculptor.shape`` does."""
        return self.sculptor.shape(identity)

    def posed(
        self, shape_m: NDArray[np.float32], goals: PoseGoals, outfit: OutfitSpec, seat_m: float | None = None
    ) -> tuple[PosedBody, float | None]:
        """Return a shape in a pose that its clothes have room in, and the seat's height, as ``Sculptor.pose`` does."""
        over_m, sole_m = self._clothier.over_m(outfit), self._clothier.sole_m(outfit, shape_m)
        return self.sculptor.pose(shape_m, goals, over_m, sole_m, seat_m)

    def build(self, spec: PersonSpec) -> PosedPerson:
        """Build a person; equal specifications give equal bytes."""
        identity, outfit, shape_m = spec.identity, spec.outfit, self.shape(spec.identity)
        self._targets.add(shape_m, target_weights(spec.expression, identity))
        goals = with_pockets(pose_goals(spec.pose), outfit)
        figure, seat_height_m = self.posed(shape_m, goals, outfit, spec.pose.seat_m)
        parts = (
            *self._nature.skin(figure, identity, self._clothier.hidden(outfit)),
            *self._clothier.clothes(figure, outfit),
            *self._nature.eyes(figure, identity),
        )
        hair = self._nature.hair(figure, identity)
        caps = self._outfitter.caps(figure, spec, hair)
        head = self._head_vertices(figure, (*hair, *caps))
        things = (*self._outfitter.on_trunk(figure, spec, parts), *self._outfitter.in_hands(figure, spec, goals))
        everything = (*parts, *hair, *caps, *things)
        person = PosedPerson(
            parts=everything,
            joints_m=named_points(self._landmarks, self.sculptor.mesh, figure.posed, figure.vertices_m),
            head_centre_m=((head.max(axis=0) + head.min(axis=0)) / 2).astype(np.float32),
            head_vertices_m=head,
            surface_vertices_m=np.concatenate([part.vertices_m for part in everything]),
            posture=spec.pose.posture,
            height_m=identity.height_m,
            seat_height_m=seat_height_m,
            attributes=describe(spec),
            support=goals.support,
            spec=spec,
            stride_m=goals.stride * figure.leg_m,
            licences=self._licences(spec),
        )
        # Soles bend, and shoes are thicker here and there than posing reckons with: by up to a centimetre.
        lowest_m = min(float(part.vertices_m[:, 2].min()) for part in parts)
        return person if goals.support == "seat" else person.raised(-lowest_m)

    def _licences(self, spec: PersonSpec) -> dict[str, str]:
        assets = {} if self._dresser is None else self._dresser.licences(spec)
        motion = {} if spec.pose.captured is None else {spec.pose.name.rsplit(":", 1)[0]: spec.pose.licence}
        return {**assets, **motion}

    def _head_vertices(self, figure: PosedBody, hair: tuple[MeshPart, ...]) -> NDArray[np.float32]:
        return np.concatenate([figure.vertices_m[self._head], *(part.vertices_m for part in hair)])
