# SPDX-License-Identifier: Apache-2.0
"""What a person is before (a specification) and after (posed meshes) building.

Frames: metres, right-handed, z up.  In the person frame the origin lies on the floor under the centre of the
pelvis and the person faces -y, so the person's left is +x.  Colours are linear RGB in 0..1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from synthkit_blender.people.goals import PoseGoals

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Rgb = tuple[float, float, float]
Support = Literal["none", "seat", "wall", "table behind", "table before"]

MATERIAL_KINDS = ("skin", "cloth", "hair", "eye", "shoe", "thing")
PATTERNS = ("plain", "stripes", "checks", "dots", "noise")


@attrs.frozen
class Texture:
    """An image as `pixels` (H, W, 3 or 4) sRGB bytes, with alpha, first row on top; `digest` tells it from others."""

    digest: str
    pixels: NDArray[np.uint8] = attrs.field(eq=False, repr=False)


@attrs.frozen(eq=False)
class Material:
    """The look of one mesh part as plain values.

    `pattern` is procedural: it mixes `base_color` with `pattern_color` (linear RGB) at a period of
    `pattern_scale_m` metres in the coordinates `MeshPart.rest_m`.  `roughness`, `bump`, `specular` and
    `subsurface` lie in 0..1.  A texture is multiplied by `base_color`, after its hues are turned by `hue_turn`
    (1 is all the way round) and its saturation multiplied; it wants `MeshPart.uv`.  Cloth has creases up to
    `crease_m` deep.
    """

    kind: str = attrs.field(validator=attrs.validators.in_(MATERIAL_KINDS))
    base_color: Rgb
    roughness: float = 0.6
    pattern: str = attrs.field(default="plain", validator=attrs.validators.in_(PATTERNS))
    pattern_color: Rgb = (0.0, 0.0, 0.0)
    pattern_scale_m: float = 0.05
    bump: float = 0.0
    specular: float = 0.3
    subsurface: float = 0.0
    texture: Texture | None = None
    hue_turn: float = 0.0
    saturation: float = 1.0
    crease_m: float = 0.0


@attrs.frozen(eq=False)
class MeshPart:
    """One mesh of a person in the person frame.

    `vertices_m` and `rest_m` are (V, 3) float32; `rest_m` holds rest-pose coordinates, in which a procedural
    pattern sticks to the cloth.  `faces` is (F, 4) int32; a triangle repeats its last vertex.  `base_vertices`
    (V,) int32 is the vertex of the MPFB base mesh, helper geometry included, that each vertex is or hangs on;
    None where the mesh has nothing to do with the base mesh.  `uv` (F, 4, 2) float32 are texture coordinates per
    corner, u to the right, v up.
    """

    name: str
    vertices_m: FloatArray
    faces: IntArray
    rest_m: FloatArray
    material: Material
    smooth: bool = True
    base_vertices: IntArray | None = None
    uv: FloatArray | None = None


@attrs.frozen(eq=False)
class PosedPerson:
    """A dressed person in a pose.

    `parts` are the meshes (body without covered faces, clothes, hair, eyes, shoes, accessories).  `joints_m` maps
    the names of `keypoints.py` to (3,) positions.  `head_vertices_m` (K, 3) spans skull, face, hair and cap;
    `surface_vertices_m` (M, 3) is every vertex of every part.  `height_m` is the standing height without shoes and
    hair; `seat_height_m` is the height of the seat under a sitting person, else None: of the one that is there, unless
    the legs are too long or too short for it.
    `support` is what the pose needs beside the floor.
    `licences` are those of the assets and the motion file used, by name.
    `spec` is what the person was built from, if they can move; `stride_m` is how far one stride of a walker goes.
    """

    parts: tuple[MeshPart, ...]
    joints_m: dict[str, FloatArray]
    head_centre_m: FloatArray
    head_vertices_m: FloatArray
    surface_vertices_m: FloatArray
    posture: str
    height_m: float
    seat_height_m: float | None
    attributes: dict[str, Any]
    support: Support = "none"
    licences: dict[str, str] = attrs.field(factory=dict)
    spec: PersonSpec | CastSpec | None = None
    stride_m: float = 0.0

    def raised(self, by_m: float) -> PosedPerson:
        """Return the same person higher up."""
        up = np.array([0, 0, by_m], np.float32)
        return attrs.evolve(
            self,
            parts=tuple(attrs.evolve(part, vertices_m=part.vertices_m + up) for part in self.parts),
            joints_m={name: point + up for name, point in self.joints_m.items()},
            head_centre_m=self.head_centre_m + up,
            head_vertices_m=self.head_vertices_m + up,
            surface_vertices_m=self.surface_vertices_m + up,
        )


@attrs.frozen
class IdentitySpec:
    """Who a person is: body, skin, hair and face; assets by name, "" where the library's own serve.

    `sex` runs from 0 (female) to 1 (male), `muscle`, `weight` and `proportions` from 0 to 1 with 0.5 the average;
    `ethnicity` weighs (african, asian, caucasian) and sums to 1; `details` lists (shape target, weight in
    -1..1) for face and body variety, sorted by name; `skin_bump` and `skin_oil` run from 0 (smooth, dry) to 1.
    """

    sex: float
    age_years: float
    muscle: float
    weight: float
    proportions: float
    ethnicity: tuple[float, float, float]
    height_m: float
    cup: float
    details: tuple[tuple[str, float], ...]
    skin_color: Rgb
    skin_tone: str
    hair_style: str
    hair_color: Rgb
    hair_name: str
    hair_phase: float
    eye_color: Rgb
    lip_strength: float
    beard: str
    skin_bump: float = 0.5
    skin_oil: float = 0.5
    skin_asset: str = ""
    hair_asset: str = ""


@attrs.frozen
class GarmentSpec:
    """One garment: its cut, its cloth and how far it stands off the body in metres."""

    kind: str
    color: Rgb
    color_name: str
    ease_m: float
    pattern: str = "plain"
    pattern_color: Rgb = (0.0, 0.0, 0.0)
    pattern_scale_m: float = 0.05
    roughness: float = 0.85
    bump: float = 0.3


@attrs.frozen
class Look:
    """How something differs from its texture: hues turned (1 is all the way round), saturation and brightness."""

    hue_turn: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0


PLAIN_LOOK = Look()


@attrs.frozen
class WornSpec:
    """Clothes from assets: the asset's name, its kind, and how its parts on trunk and legs look."""

    asset: str
    kind: str
    upper: Look = PLAIN_LOOK
    lower: Look = PLAIN_LOOK


@attrs.frozen
class AccessorySpec:
    """A thing that somebody wears or carries, and its two colours."""

    kind: str
    color: Rgb
    color_name: str
    second_color: Rgb


@attrs.frozen
class OutfitSpec:
    """The clothes of one person: those of the shells, from the skin outwards, and those from assets.

    `accessories` are worn over them; `owned` is what may be in the hands, for poses that hold something.
    """

    garments: tuple[GarmentSpec, ...]
    shoes: GarmentSpec | None
    worn: tuple[WornSpec, ...] = ()
    accessories: tuple[AccessorySpec, ...] = ()
    owned: tuple[AccessorySpec, ...] = ()


@attrs.frozen
class PoseSpec:
    """A pose: its posture and name in the library, the numbers that jitter it, and its mirror image or not.

    `jitter` holds standard normal draws, one per degree of freedom that the library may disturb; `amount`
    scales them.  `phase` in 0..1 places a walker in the stride.  A captured pose is in no library: `captured` is it,
    `name` its file and frame, and `licence` the file's.  `time_s` into a clip people have stirred a little, and by
    `stood` in 0..1 a walker has come to a stand.  `seat_m` is how high the seat is that is there; None for one that
    suits the legs.
    """

    posture: str
    name: str
    mirrored: bool
    phase: float
    amount: float
    jitter: tuple[float, ...]
    captured: PoseGoals | None = None
    licence: str = ""
    time_s: float = 0.0
    stood: float = 0.0
    seat_m: float | None = None


@attrs.frozen
class ExpressionSpec:
    """What a face does: a name, and (expression target, weight in 0..1) by name."""

    name: str = "neutral"
    units: tuple[tuple[str, float], ...] = ()


@attrs.frozen
class PersonSpec:
    """Every sampled parameter of a person; hashable, comparable, made of plain values."""

    identity: IdentitySpec
    outfit: OutfitSpec
    pose: PoseSpec
    expression: ExpressionSpec = ExpressionSpec()


@attrs.frozen
class CastSpec:
    """Somebody of a cast of rigged people, by name, in a pose."""

    name: str
    pose: PoseSpec


def _adult_span(_: object, field: attrs.Attribute[tuple[float, float]], value: tuple[float, float]) -> None:
    if not 18 <= value[0] <= value[1] <= 90:
        raise ValueError(f"{field.name} is {value}; expected (least, most) with 18 <= least <= most <= 90")


def _unit_span(_: object, field: attrs.Attribute[tuple[float, float]], value: tuple[float, float]) -> None:
    if not 0 <= value[0] <= value[1] <= 1:
        raise ValueError(f"{field.name} is {value}; expected (least, most) with 0 <= least <= most <= 1")


_SHARE = attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(1.0))


UNCHANGED = 0.5  # of a number of looks


@attrs.frozen
class Looks:
    """What is drawn by numbers; spans are (low, high) of uniform draws, fabrics (mean, standard deviation).

    Args:
        phenotypes, expressions: how many different bodies and faces there are; None for no two alike.
        melanin: 0 the lightest skin to 1 the darkest; None for what goes with the ancestry.
        skin_hue: 0.5 changes nothing, 0.01 more turns hues by 3.6 degrees.
        skin_bump, skin_oil: 0 smooth or dry to 1 rough or shining; 0.5 is ordinary skin.
        fabric_saturation, fabric_value: of garments in HSV, their hues uniform; None for the wardrobe's own colours.
    """

    phenotypes: int | None = None
    expressions: int | None = None
    melanin: tuple[float, float] | None = None
    skin_hue: tuple[float, float] = (UNCHANGED, UNCHANGED)
    skin_bump: tuple[float, float] = (UNCHANGED, UNCHANGED)
    skin_oil: tuple[float, float] = (UNCHANGED, UNCHANGED)
    fabric_saturation: tuple[float, float] | None = None
    fabric_value: tuple[float, float] | None = None


@attrs.frozen
class PersonRanges:
    """What people are drawn from.

    `age_years` lies in 18..90; `weight` and `muscle` are spans within 0..1 with 0.5 the average; shares are
    probabilities; `height_scatter_m` is the standard deviation around the mean of the sex; `pose_amount` scales
    how far a pose strays from the library's.
    """

    age_years: tuple[float, float] = attrs.field(default=(18.0, 80.0), validator=_adult_span)
    female_share: float = attrs.field(default=0.5, validator=_SHARE)
    height_scatter_m: float = attrs.field(default=0.065, validator=attrs.validators.ge(0.0))
    weight: tuple[float, float] = attrs.field(default=(0.3, 0.85), validator=_unit_span)
    muscle: tuple[float, float] = attrs.field(default=(0.35, 0.75), validator=_unit_span)
    pattern_share: float = attrs.field(default=0.3, validator=_SHARE)
    accessory_share: float = attrs.field(default=0.35, validator=_SHARE)
    motions_share: float = attrs.field(default=0.6, validator=_SHARE)
    pose_amount: float = attrs.field(default=1.0, validator=attrs.validators.ge(0.0))
    assets_share: float = attrs.field(default=0.7, validator=_SHARE)
    looks: Looks = attrs.field(factory=Looks)
