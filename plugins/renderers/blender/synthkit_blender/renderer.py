# SPDX-License-Identifier: Apache-2.0
"""The renderer: scenes in, annotated samples out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import Runtime, sample_key
from synthkit.sample import Sample, Skipped, evolve
from synthkit.seeds import Seeds
from synthkit_blender import request
from synthkit_blender.casting import Casting
from synthkit_blender.client import Reply, WorkerClient
from synthkit_blender.composite import composite
from synthkit_blender.config import BlenderConfig, CameraConfig
from synthkit_blender.crowd import PeopleSource
from synthkit_blender.develop import Sensor, develop
from synthkit_blender.environments import Panorama, open_environments
from synthkit_blender.light import Metered, image_circle, metered
from synthkit_blender.optics import check_lens
from synthkit_blender.people import BodyLibrary
from synthkit_blender.people.assets.licences import UNKNOWN, is_non_commercial
from synthkit_blender.people.capture import Repertoire
from synthkit_blender.people.cast.company import CONVERT_FBX, Cast
from synthkit_blender.people.keypoints import BODY_POINTS
from synthkit_blender.plate_sensor import PlateSensor
from synthkit_blender.plates import Plate, Plates
from synthkit_blender.process import FrameFailed
from synthkit_blender.scene import Scene, at_time, plate_camera, plate_space, sample_scene
from synthkit_blender.truth import Truth, annotate, plain_depth, plain_normals

LICENCES = {"bodies": "CC0-1.0 (MakeHuman / MPFB)"}


class BlenderRenderer:
    """Renders people under a ceiling fisheye; see ``BlenderConfig`` for what can be chosen.

    ``timings`` holds the stages of the last frame in seconds: ``people`` and ``scene`` (drawing and placing),
    ``worker`` (all of the worker, pipe included) with its parts ``worker.build``, ``worker.render_PASS`` and
    ``worker.read``, and its processor time ``worker.cpu``; ``truth``, ``develop``; and ``resident_mb``, the
    worker's memory.

    Args:
        people: where people come from; None for the body library.
    """

    def __init__(
        self, config: BlenderConfig, checkpoint: Checkpoint | None, runtime: Runtime, *,
        people: PeopleSource | None = None,
    ) -> None:  # fmt: skip
        self._config, self._runtime = config, runtime
        self.samples_per_scene = config.sequence.frames
        self._client = WorkerClient(config.worker)
        self._people = people
        self._plates: Plates | None = None
        self._panoramas: tuple[Panorama, ...] = ()
        self._measured: tuple[Path, PlateSensor] | None = None
        self._metered: Metered | None = None
        self.timings: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Check lens, plates and panoramas, load motions and bodies; the worker starts with the first frame.

        Raises:
            DatasetError: for a lens that cannot be rendered, and plates, motions, panoramas and a cast that cannot be
                read, all at once. PeopleDataError: when the body data is missing.
        """
        config, repertoire, cast, problems = self._config, None, None, dict[str, None]()
        with _noted(problems):
            if config.backgrounds is not None:
                self._plates = self._checked(config.backgrounds)
            else:
                check_lens(config.camera, config.width_px, config.height_px)
        with _noted(problems):
            if config.light.environments is not None:
                self._panoramas = open_environments(config.light.environments)
        with _noted(problems):
            repertoire = _motions(config.people.motions, clips=config.sequence.frames > 1)
        with _noted(problems):
            cast = _cast(config.people.cast, self._runtime.cache_dir / "blender-people")
        _tell(problems)
        if self._people is None:
            library = BodyLibrary(self._runtime.cache_dir / "blender-people", config.people.assets)
            self._people = Casting(library, config.people, self._runtime.seeds, repertoire, cast)
            _warn_of_assets(library, config.people.assets)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.stop()

    @property
    def client(self) -> WorkerClient:
        """The worker, for those who watch processes."""
        return self._client

    def render(self, scene: int, seeds: Seeds) -> Iterator[Sample | Skipped]:
        """Yield the images of a scene, or why one of them is none.

        Raises:
            WorkError: when Blender cannot run here at all. DatasetError: when a plate has become unreadable.
        """
        clock = _Clock()
        assert self._people is not None, "the renderer must be entered first"
        source = _Timed(self._people, clock)
        drawn = sample_scene(self._config, source, seeds, self._plate(scene), self._panoramas)
        self._metered = None
        for frame, time_s in enumerate(self._config.sequence.times_s):
            shot = _Shot(scene, frame, time_s, at_time(drawn, time_s, source), seeds)
            clock.stamp("scene")
            yield self._shoot(shot, clock)
            clock = _Clock()
            source.clock = clock

    def _shoot(self, shot: _Shot, clock: _Clock) -> Sample | Skipped:
        quality = request.Quality(
            self._config.light_paths, self._config.denoise, self._runtime.threads,
            shot.seeds.integer("noise", *shot.index) % 2**31, self._config.device,
        )  # fmt: skip
        try:
            reply = self._client.render(*request.render_request(shot.drawn, self._passes(), quality))
        except FrameFailed as error:
            return Skipped(shot.key, f"blender: {error}")
        clock.stamp("worker")
        sample = self._sample(shot, reply, clock)
        self.timings = {
            **clock.seconds,
            **{f"worker.{name}": seconds for name, seconds in reply.timings.items()},
            "resident_mb": reply.resident_mb,
        }
        return sample

    def finish(self, sample: Sample, seeds: Seeds) -> Sample:
        """Return a sample that has the layer ``light`` as this renderer's sensor would have seen it.

        Args:
            sample: of a room. seeds: the scene's.
        """
        assert sample.camera is not None, "what this renderer made has its camera"
        sensor = Sensor.sample(self._config.sensor, seeds.child("sensor"), sample.time_s or 0.0)
        rng = seeds.stream("sensor noise", *_index(sample.frame))
        seen = Metered(sample.meta["meter_gain"], tuple(sample.meta["meter_cast"]))
        image = develop(sample.layers["light"], seen, sensor, sample.camera, rng)
        return evolve(sample, image=image, meta={**sample.meta, "sensor": sensor.plain})

    def _checked(self, folder: Path) -> Plates:
        """Return the plates of a folder; what was noted is looked at through both ends of what cameras may be."""
        plates = Plates.open(
            folder, self._config.width_px, self._config.height_px, self._config.camera,
            self._runtime.cache_dir / "blender-plates",
        )  # fmt: skip
        problems: dict[str, None] = {}
        for end in (0, 1):
            config = attrs.evolve(self._config, camera=_end_of_ranges(self._config.camera, end))
            for plate in plates.plates:
                with _noted(problems):
                    plate_space(config, plate, plate_camera(config, plate, Seeds(0)))
        _tell(problems)
        return plates

    def _plate(self, scene: int) -> Plate | None:
        return None if self._plates is None else self._plates[scene // self._config.plates.scenes_per_background]

    def _passes(self) -> tuple[request.Pass, ...]:
        layers = self._config.layers
        flat = tuple(name for name in ("depth", "normals") if name in layers)
        further = (attrs.evolve(request.FLAT, truth=flat),) if flat else ()
        if self._plates is not None:
            return request.PEOPLE, request.SHADED, request.UNSHADED, *further
        return (request.ROOM, request.EMPTY_ROOM, *further) if "background" in layers else (request.ROOM, *further)

    def _sample(self, shot: _Shot, reply: Reply, clock: _Clock) -> Sample:
        drawn = shot.drawn
        main = reply.passes["people" if self._plates is not None else "room"]
        points = BODY_POINTS if self._config.keypoints == "body" else None
        truth = annotate(
            drawn.figures, drawn.camera, main["ids"], main["coverage"], self._config.min_visible_px, points
        )
        clock.stamp("truth")
        image, background, meta = self._picture(shot, reply)
        clock.stamp("develop")
        return Sample(
            key=shot.key,
            image=image,
            people=truth.people,
            camera=drawn.camera,
            layers=self._layers(truth, reply.passes, background, drawn),
            meta={**drawn.meta, **meta, "licences": _licences(drawn)},
            **self._place_in_clip(shot),
        )

    def _place_in_clip(self, shot: _Shot) -> dict[str, Any]:
        if self._config.sequence.frames == 1:
            return {}
        return {"sequence": f"{shot.scene:08d}", "frame": shot.frame, "time_s": round(shot.time_s, 6)}

    def _picture(self, shot: _Shot, reply: Reply) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, dict[str, Any]]:
        """Return the image, the same without people where wanted, and what to note about them."""
        config, drawn, rng = self._config, shot.drawn, shot.seeds.stream("sensor noise", *shot.index)
        sensor = Sensor.sample(config.sensor, shot.seeds.child("sensor"), shot.time_s)
        if (plate := self._plate(shot.scene)) is not None:
            below = plate.read()
            people, shaded, unshaded = (reply.passes[one]["color"] for one in ("people", "shaded", "unshaded"))
            sight = self._plate_sensor(plate, below, drawn)
            image = composite(people, shaded, unshaded, below, sight, sensor, drawn.camera, rng)
            return image, below if "background" in config.layers else None, {"background": plate.path.name}
        color = reply.passes["room"]["color"][..., :3]
        if self._metered is None:  # one exposure and one white for all of a clip
            self._metered = metered(color, image_circle(drawn.camera)[0])
        seen = self._metered
        image = develop(color, seen, sensor, drawn.camera, rng)
        background = None
        if "background" in config.layers:
            background = develop(reply.passes["empty"]["color"][..., :3], seen, sensor, drawn.camera, rng)
        kept = {"meter_gain": seen.gain, "meter_cast": list(seen.cast)} if "light" in config.layers else {}
        return image, background, {"sensor": sensor.plain, **kept}

    def _plate_sensor(self, plate: Plate, below: NDArray[np.uint8], drawn: Scene) -> PlateSensor:
        """Return what a plate tells of its sensor, measured once for the scenes in a row that share it."""
        if self._measured is None or self._measured[0] != plate.path:
            self._measured = plate.path, PlateSensor.of(below, image_circle(drawn.camera)[0])
        return self._measured[1]

    def _layers(
        self, truth: Truth, passes: Mapping[str, Mapping[str, NDArray[Any]]], background: NDArray[np.uint8] | None,
        drawn: Scene,
    ) -> dict[str, NDArray[Any]]:  # fmt: skip
        flat = passes.get("flat", {})
        layers: dict[str, NDArray[Any]] = {"instances": truth.instances}
        there = image_circle(drawn.camera)[0] & (flat["color"][..., 3] > 0.5) if flat else None
        if there is not None and "depth" in flat:
            layers["depth"] = plain_depth(flat["depth"], there)
        if there is not None and "normals" in flat:
            layers["normals"] = plain_normals(flat["normals"], there, drawn.camera)
        if "surface" in self._config.layers:
            layers["surface"] = truth.surface()
        if "amodal" in self._config.layers:
            layers["amodal"] = truth.amodal()
        if "alpha" in self._config.layers:
            layers["alpha"] = np.rint(truth.coverage * 255).astype(np.uint8)
        if "light" in self._config.layers:
            layers["light"] = passes["room"]["color"][..., :3]
        if background is not None:
            layers["background"] = background
        return layers


@contextlib.contextmanager
def _noted(problems: dict[str, None]) -> Iterator[None]:
    """Note what is wrong with settings and inputs, each once, instead of raising it."""
    try:
        yield
    except (ConfigError, DatasetError) as error:
        problems |= dict.fromkeys(str(error).splitlines())


def _tell(problems: dict[str, None]) -> None:
    if problems:
        raise DatasetError("\n".join(problems))


def _end_of_ranges(config: CameraConfig, end: int) -> CameraConfig:
    """Return a camera's settings with each (low, high) drawn at one end."""
    values = {field.name: getattr(config, field.name) for field in attrs.fields(CameraConfig)}
    del values["lens_polynomial"]
    ends: dict[str, Any] = {name: (v[end], v[end]) for name, v in values.items() if isinstance(v, tuple)}
    return attrs.evolve(config, **ends)


def _motions(folder: Path | None, *, clips: bool) -> Repertoire | None:
    """Return the poses of a folder of motion capture; tell which files have none, and of a licence to know about.

    In clips captured poses stand only: who walks there walks by the library's stride, which goes on.
    """
    if folder is None:
        return None
    tell, repertoire = logging.getLogger("synthkit").warning, Repertoire.of(folder)
    if clips:
        repertoire = attrs.evolve(repertoire, frames={"standing": repertoire.frames["standing"]})
    if left_out := list(repertoire.left_out.values()):
        more = "" if len(left_out) <= 3 else "; ..."
        tell("%s: %d files are left out: %s%s", folder, len(left_out), "; ".join(left_out[:3]), more)
    if repertoire.licence == UNKNOWN:
        tell("%s: no LICENSE file tells the licence of the motions: records say unknown", folder)
    if is_non_commercial(repertoire.licence):
        tell("%s: the motions allow no commercial use (%s)", folder, repertoire.licence)
    return repertoire


def _warn_of_assets(library: BodyLibrary, folder: Path | None) -> None:
    """Tell what of a folder of assets cannot be used, and what of their licences somebody should know."""
    if folder is None:
        return
    tell, assets = logging.getLogger("synthkit").warning, library.catalogue.assets
    if not assets:
        tell("%s: no assets for people in it; expected MakeHuman's folders with .mhclo and .mhmat files", folder)
    if library.left_out:
        reasons = "; ".join(library.left_out[name] for name in sorted(library.left_out)[:3])
        tell("%s: %d assets are left out: %s%s", folder, len(library.left_out), reasons,
             "" if len(library.left_out) <= 3 else "; ...")  # fmt: skip
    _warn_of_licences(folder, {asset.name: asset.licence for asset in assets}, "assets")


def _cast(folder: Path | None, cache_dir: Path) -> Cast | None:
    """Return the people of a folder, and tell what of their licences somebody should know."""
    if folder is None:
        return None
    cast = Cast.open(folder, cache_dir)
    if cast.unread:
        logging.getLogger("synthkit").warning("%s: %d .fbx files are not read; %s", folder, cast.unread, CONVERT_FBX)
    _warn_of_licences(folder, cast.licences, "people")
    return cast


def _warn_of_licences(folder: Path, licences: Mapping[str, str], what: str) -> None:
    tell = logging.getLogger("synthkit").warning
    unknown = [name for name, licence in licences.items() if licence == UNKNOWN]
    if unknown:
        tell("%s: %d %s state no licence, such as %s: records say unknown", folder, len(unknown), what, unknown[0])
    limited = [f"{name} ({licence})" for name, licence in licences.items() if is_non_commercial(licence)]
    if limited:
        tell("%s: %d %s allow no commercial use, such as %s", folder, len(limited), what, limited[0])


def _licences(drawn: Scene) -> dict[str, str]:
    """Return the licence of everything that a scene shows and that is somebody's."""
    worn = {name: licence for figure in drawn.figures for name, licence in figure.body.licences.items()}
    return {**LICENCES, **dict(sorted(worn.items()))}


@attrs.frozen(eq=False)
class _Shot:
    """One image of a scene; a still's streams have no index, those of a clip's frames have theirs."""

    scene: int
    frame: int
    time_s: float
    drawn: Scene
    seeds: Seeds

    @property
    def key(self) -> str:
        return sample_key(self.scene, self.frame)

    @property
    def index(self) -> tuple[int, ...]:
        return _index(self.frame)


def _index(frame: int | None) -> tuple[int, ...]:
    return (frame,) if frame else ()


class _Clock:
    """Stage times in seconds; people are built while a scene is drawn, and counted apart."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"people": 0.0}
        self._last = time.perf_counter()
        self._apart = 0.0

    def add_people(self, seconds: float) -> None:
        """Count time spent on people, not to be counted as the stage's own."""
        self.seconds["people"] += seconds
        self._apart += seconds

    def stamp(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last - self._apart
        self._last, self._apart = now, 0.0


class _Timed:
    def __init__(self, source: PeopleSource, clock: _Clock) -> None:
        self._source, self.clock = source, clock

    def identity(self, *arguments: Any) -> str:
        """Pass on to the source."""
        return self._source.identity(*arguments)

    def person(self, *arguments: Any, **options: Any) -> Any:
        """Pass on to the source, and time it."""
        return self._timed(self._source.person, *arguments, **options)

    def moved(self, *arguments: Any) -> Any:
        """Pass on to the source, and time it."""
        return self._timed(self._source.moved, *arguments)

    def _timed(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        person = call(*arguments, **options)
        self.clock.add_people(time.perf_counter() - started)
        return person
