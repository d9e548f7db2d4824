# SPDX-License-Identifier: Apache-2.0
"""The commands that take a fitted component to a device, and tell whether a device's toolchain takes a file."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.options import ConfigFile, Json, Seed, Sets, session_of

# A constant, as --help would be slow if it had to load them; a test compares.
_PROFILES = "any, stm32n6, stm32mp2, hailo, ti, litert"


class Variant(enum.StrEnum):
    """What of a detector leaves."""

    COMPLETE = "complete"
    NETWORK = "network"


Run = Annotated[Path, typer.Argument(metavar="RUN", help="A detector's or a refiner's training folder, or checkpoint.")]
Onnx = Annotated[Path, typer.Option("--onnx", "--out", help="The ONNX file to write.", metavar="FILE")]
VariantOption = Annotated[
    Variant | None,
    typer.Option(
        help="complete: from pixels to boxes; network: convolution, ReLU, max-pooling, concatenation and sigmoid alone."
        " [default: what the profile's toolchain takes, else complete]"
    ),
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help=f"The device it is for: {_PROFILES}.", metavar="NAME")
]
Int8 = Annotated[bool, typer.Option("--int8", help="In 8 bits, one scale per filter.")]
PerTensor = Annotated[bool, typer.Option("--per-tensor", help="With --int8: one scale per weight tensor.")]
Calibrate = Annotated[
    str | None, typer.Option(help="Data set whose images tell the ranges of activations.", metavar="SET")
]
Check = Annotated[
    str | None,
    typer.Option(
        help="Data set on which the file is compared with the detector, and judged where people are known."
        " [default: other images of --calibrate, else drawn ones]",
        metavar="SET",
    ),
]
Images = Annotated[int, typer.Option(min=1, help="How many images of --calibrate to take, evenly spread.")]
Dynamic = Annotated[
    bool, typer.Option("--dynamic", help="Any number of images; with --variant network any size in whole strides too.")
]
Opset = Annotated[int | None, typer.Option(help="Newest operators it may use. [default: 17]")]
LeastMatched = Annotated[float, typer.Option(min=0, max=1, help="Share of boxes that 8 bits must find again.")]
MostF1Loss = Annotated[float, typer.Option(min=0, max=1, help="What F1 may lose by 8 bits.")]


@app.command()
def export(
    run: Run,
    onnx: Onnx = Path("model.onnx"),
    variant: VariantOption = None,
    profile: ProfileName = None,
    int8: Int8 = False,
    per_tensor: PerTensor = False,
    calibrate: Calibrate = None,
    check: Check = None,
    images: Images = 64,
    dynamic: Dynamic = False,
    opset: Opset = None,
    least_matched: LeastMatched = 0.9,
    most_f1_loss: MostF1Loss = 0.01,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
) -> None:
    """Export a detector, or a refiner's generator, as one ONNX file with its card.

    The card lies beside the file, as JSON and Markdown. All options but --onnx and --seed are for detectors; --set
    detector.nms_iou=0.5 and the like set it up otherwise than it was trained.
    """
    from synthkit import pipeline, settings
    from synthkit.deployment.exporting import Wishes
    from synthkit.errors import ConfigError
    from synthkit.plugins import discover

    wishes = Wishes(
        variant=None if variant is None else variant.value, dynamic=dynamic, opset=opset, int8=int8,
        per_tensor=per_tensor, calibrate=calibrate, check=check, images=images, profile=profile,
        least_matched=least_matched, most_f1_loss=most_f1_loss,
    )  # fmt: skip
    given, problems = settings.read(config, sets or (), {"seed": seed}), list[str]()
    general = settings.general(given, ("detector",), problems)
    _, options = settings.component_table(given, "detector", problems)
    if problems:
        raise ConfigError(problems)
    with session_of(settings.Plan(discover(), general, {})) as session:
        card = pipeline.export(session, run, onnx, wishes, options)
    typer.echo(f"{onnx} ({onnx.stat().st_size / 1e6:.2f} MB)")
    typer.echo(json.dumps(card, indent=2))


@app.command("lint-onnx")
def lint_onnx(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file, from anywhere.")],
    profile: ProfileName = "any",
    as_json: Json = False,
) -> None:
    """Tell whether a device's toolchain will take an ONNX file, and what to do when it will not.

    Exits with 1 when there is an error among the findings.
    """
    import attrs

    from synthkit.deployment.files import OnnxFile
    from synthkit.deployment.linting import lint
    from synthkit.deployment.profiles import profile_named

    wanted = profile_named(profile or "any")
    findings = lint(OnnxFile.read(file), wanted)
    if as_json:
        typer.echo(json.dumps([attrs.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(str(finding))
        if not findings:
            typer.echo(f"{file}: nothing to say against it ({wanted.summary})")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)
