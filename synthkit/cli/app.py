# SPDX-License-Identifier: Apache-2.0
"""The commands. Each reads its options, hands them to the library, and prints what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthkit.cli.groups import PluginGroups
from synthkit.cli.options import (
    Address,
    AllowMissing,
    Backgrounds,
    Checkpoint,
    ConfigFile,
    Count,
    DetectorName,
    ExecutorName,
    ExecutorOption,
    GuardMode,
    GuardOption,
    Json,
    RefinerName,
    RendererName,
    Seed,
    Sets,
    Workers,
    cores,
    executor_of,
    read_plan,
    session_of,
)

# Nothing of the pipeline is imported here: ``synthkit --help`` answers at once and discovers nothing.
if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthkit.checkpoint import Checkpoint as Fitted
    from synthkit.dataset import Dataset
    from synthkit.evaluation import Judgement
    from synthkit.settings import Plan


app = typer.Typer(
    name="synthkit",
    cls=PluginGroups,
    help="Make training data of people as ceiling fisheyes see them, and see whether it is any good."
    " All long work can be stopped and run again: it goes on where it stopped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def build(
    renderer: RendererName = None,
    refiner: RefinerName = None,
    real: Annotated[
        str | None,
        typer.Option(
            help="Real samples as the refiner's target: a data set (or its URL), or a folder 'convert' knows.",
            metavar="REAL",
        ),
    ] = None,
    backgrounds: Backgrounds = None,
    count: Count = 16,
    out: Annotated[
        str | None,
        typer.Option(
            help="Where it goes: a folder, or, without --real, a URL. [default: a new folder in synthkit-out]",
            metavar="OUT",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    guard: GuardOption = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Render, train the refiner, refine: a data set from nothing."""
    from synthkit import pipeline

    plan = _plan(config, sets, {"renderer": renderer, "refiner": refiner}, seed, backgrounds, guard)
    with session_of(plan, executor_of(plan.run, executor, workers, address)) as session:
        result = pipeline.build(
            session, plan.components["renderer"], plan.components["refiner"], out, count,
            real=real, checkpoint=checkpoint,
        )  # fmt: skip
    _tell(f"rendered: {result.rendered.location} ({len(result.rendered)} samples)")
    if result.checkpoint:
        _tell(f"refiner:  {result.checkpoint}")
    typer.echo(f"refined:  {result.refined.location} ({len(result.refined)} samples)")
    _tell_drift(result.refined)
    finish(result.skipped, allow_missing)


@app.command()
def render(
    out: Annotated[str, typer.Option(help="Where the data set goes: a folder or a URL (s3://...).", metavar="OUT")],
    renderer: RendererName = None,
    backgrounds: Backgrounds = None,
    count: Count = 16,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Render scenes into a data set."""
    from synthkit import pipeline

    plan = _plan(config, sets, {"renderer": renderer}, seed, backgrounds)
    with session_of(plan, executor_of(plan.run, executor, workers, address)) as session:
        made = pipeline.render(session, plan.components["renderer"], out, count)
    typer.echo(f"rendered: {made.dataset.location} ({len(made.dataset)} samples)")
    finish(made.skipped, allow_missing)


@app.command()
def preview(
    renderer: RendererName = None,
    scene: Annotated[int, typer.Option(min=0, help="Which scene of the run that would be rendered.")] = 0,
    out: Annotated[Path, typer.Option(help="The picture.", metavar="FILE")] = Path("preview.png"),
    backgrounds: Backgrounds = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
) -> None:
    """Show one scene with its truth and all layers in one picture, in seconds."""
    from synthkit.preview import check_picture
    from synthkit.preview import preview as show

    plan, _ = read_plan(config, sets, {"renderer": renderer}, seed, backgrounds, also=lambda: check_picture(out))
    with session_of(plan) as session:
        shown = show(session, plan.components["renderer"], scene, out)
    typer.echo(f"preview: {shown.path} (sample {shown.key}, {shown.people} people in sight, {shown.seconds:.1f} s)")


@app.command()
def fit(
    target: Annotated[str, typer.Option(help="Data set it shall look like, such as real samples.", metavar="IN")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, curves and training state.")],
    source: Annotated[
        str | None,
        typer.Option(
            help="Data set to be refined, such as rendered samples; not for refiners that generate people, which learn"
            " from the target alone.",
            metavar="IN",
        ),
    ] = None,
    refiner: RefinerName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
) -> None:
    """Train a refiner, from two data sets or, where it generates people, from one."""
    from synthkit import pipeline

    plan = _plan(config, sets, {"refiner": refiner}, seed)
    with session_of(plan) as session:
        data = {"target": target} | ({"source": source} if source else {})
        fitted = pipeline.fit(session, plan.components["refiner"], data, out)
    _tell_fitted(fitted)


@app.command()
def refine(
    source: Annotated[str, typer.Argument(metavar="IN", help="Data set to refine: a folder or a URL (s3://...).")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Where the refined data set goes: a folder or a URL.")],
    refiner: RefinerName = None,
    checkpoint: Checkpoint = None,
    guard: GuardOption = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Refine a data set; apply several refiners by refining again."""
    from synthkit import pipeline

    plan = _plan(config, sets, {"refiner": refiner}, seed, guard=guard)
    with session_of(plan, executor_of(plan.run, executor, workers, address)) as session:
        spec = pipeline.with_weights(session, plan.components["refiner"], checkpoint)
        made = pipeline.refine(session, spec, source, out)
    typer.echo(f"refined: {made.dataset.location} ({len(made.dataset)} samples)")
    _tell_drift(made.dataset)
    finish(made.skipped, allow_missing)


@app.command()
def train(
    data: Annotated[
        list[str],
        typer.Option(
            "--train",
            help="Data set to train on; may be repeated. IN:3 takes 3 times as many samples as the first has.",
            metavar="IN[:N]",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, curves and training state.")],
    validation: Annotated[
        str | None, typer.Option("--validation", help="Data set that chooses the best checkpoint.", metavar="IN")
    ] = None,
    detector: DetectorName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
) -> None:
    """Train a detector from a data set, or from several."""
    from synthkit import pipeline

    plan = _plan(config, sets, {"detector": detector}, seed)
    with session_of(plan) as session:
        trained = pipeline.train(session, plan.components["detector"], data, out, validation)
    _tell_fitted(trained)


@app.command()
def evaluate(
    data: Annotated[
        str, typer.Argument(metavar="IN", help="Data set to judge, or to judge the detector on: a folder or a URL.")
    ],
    reference: Annotated[
        str | None,
        typer.Argument(metavar="[REFERENCE]", help="Data set to compare it with, for distances: a folder or a URL."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Which metric, or several with commas between them.", metavar="NAME[,NAME...]"),
    ] = None,
    checkpoint: Checkpoint = None,
    detector: Annotated[
        str | None, typer.Option(help="Which detector, of those that are ready as they ship.", metavar="NAME")
    ] = None,
    turns: Annotated[
        int,
        typer.Option(
            min=0,
            help="Judge the detector on each image at so many random turns instead: a ceiling camera has no up."
            " Intervals still rest on the images.",
        ),
    ] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Also write a page with curves, errors and pictures.", metavar="FILE.html")
    ] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Judge a detector, or a data set against another."""
    from synthkit import evaluation, settings
    from synthkit.cli import results
    from synthkit.plugins import discover

    given = settings.read(config, sets or (), {"seed": seed})
    plan = evaluation.plan(discover(), given, metrics, detector, checkpoint)
    failed = None
    with session_of(plan) as session:
        try:
            judged: Sequence[Judgement] = evaluation.judge(
                session, plan.metrics, data, reference,
                detector=plan.components.get("detector"), turns=turns, explained=report is not None,
            )  # fmt: skip
        except evaluation.MetricsFailed as error:
            judged, failed = error.judged, error
    if judged:
        results.tell([result for judgement in judged for result in judgement.results], as_json)
    if judged and report is not None:
        from synthkit.report import judgement as page

        page.write_report(judged, report, failed.problems if failed else ())
        typer.echo(f"{report}", err=True)
    if failed:
        results.tell_traces(failed.failures)
        raise failed


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("synthkit-demo"),
    renderer: RendererName = None,
    refiner: RefinerName = None,
    detector: DetectorName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
) -> None:
    """From nothing to a report, on this machine, in minutes."""
    from synthkit import demo as story
    from synthkit import settings
    from synthkit.execution import Local
    from synthkit.plugins import discover

    registry = discover()
    names = {"renderer": renderer, "refiner": refiner, "detector": detector}
    run, cast = story.choose(registry, names, settings.read(config, sets or (), {"seed": seed}))
    with session_of(settings.Plan(registry, run, {}), Local(workers or cores())) as session:
        report = story.run(session, cast, out)
    typer.echo(f"report: {report.resolve()}")


def _plan(
    config: Path | None,
    sets: list[str] | None,
    roles: dict[str, str | None],
    seed: int | None,
    backgrounds: Path | None = None,
    guard: GuardMode | None = None,
) -> Plan:
    return read_plan(config, sets, roles, seed, backgrounds, guard)[0]


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _tell_fitted(checkpoint: Fitted) -> None:
    from synthkit.training import ranks

    if ranks.rank() == 0:
        typer.echo(f"checkpoint: {checkpoint.path} (sha256 {checkpoint.sha256})")


def _tell_drift(refined: Dataset) -> None:
    from synthkit.drift.counting import count

    found = count(refined)
    if found is not None:
        _tell(f"drift:   {found}")


_AGAIN = "run again to try them once more"


def finish(skipped: int, allow_missing: bool, advice: str = _AGAIN) -> None:
    """Tell of samples that were skipped, and what to do about them; exit 1 unless they may be missing."""
    if skipped:
        _tell(f"{skipped} samples were skipped (reasons are in the records); {advice}")
        if not allow_missing:
            raise typer.Exit(1)


# Their commands are part of the app, which they import.
import synthkit.cli.anonymize  # noqa: E402
import synthkit.cli.bodies  # noqa: E402
import synthkit.cli.convert  # noqa: E402
import synthkit.cli.crops  # noqa: E402
import synthkit.cli.data  # noqa: E402
import synthkit.cli.detect  # noqa: E402
import synthkit.cli.experiment  # noqa: E402
import synthkit.cli.export  # noqa: E402
import synthkit.cli.lineage  # noqa: E402
import synthkit.cli.plugins  # noqa: E402
import synthkit.cli.tune  # noqa: E402, F401
