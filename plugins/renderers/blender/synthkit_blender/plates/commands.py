# SPDX-License-Identifier: Apache-2.0
"""``synthkit plates``: photos of an empty room made ready for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Photos of an empty room, made ready for people.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Photos of an empty room, made ready for people."""


@app.command()
def annotate(
    folder: Annotated[Path, typer.Argument(help="Folder of photos of the empty room.", show_default=False)],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Note what photos show, on a page in the browser: lens, floor, furniture; written to plates.toml beside them."""
    import webbrowser

    from synthkit.errors import ConfigError
    from synthkit_blender.plates.annotate.desk import Desk
    from synthkit_blender.plates.annotate.server import ADDRESS, AnnotateServer

    try:
        server = AnnotateServer(Desk(folder), port)
    except OSError as error:
        raise ConfigError([f"--port {port}: cannot be opened on {ADDRESS}: {error.strerror}"]) from None
    with server:
        typer.echo(f"page: {server.url}")
        typer.echo("It is for this machine and whoever has this address; Ctrl-C ends it.", err=True)
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("ended", err=True)


@app.command("from-video")
def from_video(
    video: Annotated[Path, typer.Argument(help="Video of a fixed camera.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="PNG to write.", show_default=False)],
    frames: Annotated[int, typer.Option(min=3, max=1000, help="How many frames, evenly spread, are looked at.")] = 75,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it is there already.")] = False,
) -> None:
    """Make a plate from a video: at each pixel, what it shows most steadily; people who move on vanish."""
    from synthkit.cli.options import on_terminal
    from synthkit_blender.plates.files import check_png, write_png
    from synthkit_blender.plates.video import plate_of

    check_png(out, force=force)
    with on_terminal() as terminal:
        plate = plate_of(video, frames=frames, progress=terminal)
    write_png(out, plate)
    typer.echo(f"plate: {out} ({plate.shape[1]}x{plate.shape[0]})")
