# SPDX-License-Identifier: Apache-2.0
"""The renderer: scenes in, annotated samples out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime, sample_key
from synthkit.sample import Sample, Skipped, evolve
from synthkit.seeds import Seeds
from synthkit_blender import request
from synthkit_blender.casting import Casting
from synthkit_blender.client import Reply, WorkerClient
from synthkit_blender.composite import Backdrop, composite
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import PeopleSource
from synthkit_blender.develop import Sensor, develop
from synthkit_blender.inputs import Inputs, warn_of_assets
from synthkit_blender.light import Metered, image_circle, metered
from synthkit_blender.people import BodyLibrary
from synthkit_blender.people.keypoints import BODY_POINTS
from synthkit_blender.plates import Plate
from synthkit_blender.process import FrameFailed
from synthkit_blender.raster import Footprint
from synthkit_blender.scene import Scene, at_time, sample_scene
from synthkit_blender.timing import Clock, Timed
from synthkit_blender.truth import Truth, annotate, plain_depth, plain_normals

LICENCES = {"bodies": "CC0-1.0 (MakeHuman / MPFB)"}


class BlenderRenderer:
    """Renders people under a ceiling fisheye; see ``BlenderConfig`` for what can be chosen.

    ``timings`` holds the stages of the last frame in seconds: ``people`` and ``scene`` (drawing and placing),
    ``worker`` (all of the worker, pipe included) with its parts ``worker.build``, ``worker.render_PASS`` and
    ``worker.read``, and its processor time ``worker.cpu``; ``truth`` and ``develop``, but for footprints and plates,
    which are looked at while the worker builds; and ``resident_mb``, the worker's memory.

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
        self._inputs = Inputs()
        self._backdrop: tuple[Path, NDArray[np.bool_], Backdrop] | None = None
        self._metered: Metered | None = None
        self.timings: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Check lens, plates and panoramas, load motions and bodies; the worker starts with the first frame.

        Raises:
            DatasetError: for a lens that cannot be rendered, and plates, motions, panoramas and a cast that cannot be
                read, all at once. PeopleDataError: when the body data is missing.
        """
        people, cache_dir = self._config.people, self._runtime.cache_dir
        self._inputs = Inputs.opened(self._config, cache_dir)
        if self._people is None:
            library = BodyLibrary(cache_dir / "blender-people", people.assets)
            seeds, repertoire, cast = self._runtime.seeds, self._inputs.repertoire, self._inputs.cast
            self._people = Casting(library, people, seeds, repertoire, cast)
            warn_of_assets(library, people.assets)
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
        clock = Clock()
        assert self._people is not None, "the renderer must be entered first"
        source = Timed(self._people, clock)
        drawn = sample_scene(self._config, source, seeds, self._plate(scene), self._inputs.panoramas)
        self._metered = None
        for frame, time_s in enumerate(self._config.sequence.times_s):
            shot = _Shot(scene, frame, time_s, at_time(drawn, time_s, source), seeds)
            clock.stamp("scene")
            yield self._shoot(shot, clock)
            clock = Clock()
            source.clock = clock

    def _shoot(self, shot: _Shot, clock: Clock) -> Sample | Skipped:
        quality = request.Quality(
            self._config.light_paths, self._config.denoise, self._runtime.threads,
            shot.seeds.integer("noise", *shot.index) % 2**31, self._config.device,
        )  # fmt: skip
        try:
            asked = request.render_request(shot.drawn, self._passes(), quality)
            reply = self._client.render(*asked, meanwhile=lambda: self._look_ahead(shot))
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

    def _look_ahead(self, shot: _Shot) -> None:
        """Work out what needs no pixels; it is kept."""
        _ = shot.footprints
        if (plate := self._plate(shot.scene)) is not None:
            self._measured(plate, shot.drawn)

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

    def _plate(self, scene: int) -> Plate | None:
        plates = self._inputs.plates
        return None if plates is None else plates[scene // self._config.plates.scenes_per_background]

    def _passes(self) -> tuple[request.Pass, ...]:
        layers = self._config.layers
        flat = tuple(name for name in ("depth", "normals") if name in layers)
        further = (attrs.evolve(request.FLAT, truth=flat),) if flat else ()
        if self._inputs.plates is not None:
            return request.PEOPLE, request.SHADED, request.UNSHADED, *further
        return (request.ROOM, request.EMPTY_ROOM, *further) if "background" in layers else (request.ROOM, *further)

    def _sample(self, shot: _Shot, reply: Reply, clock: Clock) -> Sample:
        drawn = shot.drawn
        main = reply.passes["people" if self._inputs.plates is not None else "room"]
        points = BODY_POINTS if self._config.keypoints == "body" else None
        truth = annotate(
            drawn.figures, drawn.camera, main["ids"], main["coverage"], self._config.min_visible_px, points,
            shot.footprints,
        )  # fmt: skip
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
            below = self._measured(plate, drawn)
            people, shaded, unshaded = (reply.passes[one]["color"] for one in ("people", "shaded", "unshaded"))
            image = composite(people, shaded, unshaded, below, sensor, drawn.camera, rng)
            return image, below.image if "background" in config.layers else None, {"background": plate.path.name}
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

    def _measured(self, plate: Plate, drawn: Scene) -> Backdrop:
        """Return a plate, read and measured once for the scenes in a row that share it and what they see of it.

        A calibrated lens of several fields of view has an image circle for each.
        """
        circle, known = image_circle(drawn.camera)[0], self._backdrop
        if known is None or known[0] != plate.path or not np.array_equal(known[1], circle):
            known = self._backdrop = plate.path, circle, Backdrop.of(plate.read(), drawn.camera)
        return known[2]

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

    @cached_property
    def footprints(self) -> tuple[Footprint, ...]:
        return tuple(Footprint.of(figure, self.drawn.camera) for figure in self.drawn.figures)

    @property
    def index(self) -> tuple[int, ...]:
        return _index(self.frame)


def _index(frame: int | None) -> tuple[int, ...]:
    return (frame,) if frame else ()
