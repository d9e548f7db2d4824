# SPDX-License-Identifier: Apache-2.0
"""What worker processes do: render a scene, refine a sample, and spool the finished bytes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit.dataset import Dataset
from synthkit.dataset.spool import SceneSpool
from synthkit.errors import PluginError
from synthkit.interfaces import ComponentSpec, Refiner, Renderer, Runtime, sample_key
from synthkit.plugins import discover
from synthkit.sample import Sample, Skipped
from synthkit.seeds import Seeds
from synthkit.session import Session, cache_dir


def job_arguments(session: Session, spec: ComponentSpec, spool: SceneSpool, **more: Any) -> dict[str, Any]:
    """Return the plain arguments of a job."""
    return {
        "spec": {**attrs.asdict(spec), "options": dict(spec.options)},
        "spool": spool.to_plain(),
        "seed": session.run.seed,
        "device": session.run.device,
        **more,
    }


class _Job:
    """A component and a spool, entered once per process."""

    def __init__(self, spec: Mapping[str, Any], spool: Mapping[str, Any], seed: int, device: str) -> None:
        self.spec = ComponentSpec(**spec)
        self.seeds = Seeds(seed).child(self.spec.kind)
        self.spool = SceneSpool.from_plain(spool)
        # One thread each: the work is spread over processes, and results may depend on the number.
        runtime = Runtime(self.seeds, cache_dir(), device=device, threads=1)
        self.component = discover().build(self.spec, runtime)
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        self.component = self._entered.enter_context(self.component)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()


class RenderJob(_Job):
    """Task n renders scene n."""

    component: Renderer

    def __call__(self, scene: int) -> dict[str, int]:
        """Render one scene into the spool; return how many samples came of it and how many did not."""
        results = list(self.component.render(scene, self.seeds.child("scene", scene)))
        expected = [sample_key(scene, n) for n in range(self.component.samples_per_scene)]
        keys = [result.key for result in results]
        if keys != expected:
            raise PluginError(f"renderer {self.spec.name!r}: scene {scene} gave {keys}, expected {expected}")
        return self.spool.put(scene, results)


class RefineJob(_Job):
    """Task n refines the sample of the source's slot n; its holes stay holes."""

    component: Refiner

    def __init__(self, source: str, **common: Any) -> None:
        super().__init__(**common)
        self.source = Dataset.open(source)
        self.slots = self.source.slots()

    def __call__(self, index: int) -> dict[str, int]:
        """Refine one sample into the spool; return how many came of it (1 or 0) and how many did not."""
        slot = self.slots[index]
        if isinstance(slot, Skipped):
            return self.spool.put(index, [slot])
        sample = self.source[slot]
        results: list[Sample | Skipped] = list(self.component.refine([sample]))
        keys = [result.key for result in results]
        if keys != [sample.key]:
            raise PluginError(f"refiner {self.spec.name!r}: sample {sample.key} gave {keys}")
        return self.spool.put(index, results)
