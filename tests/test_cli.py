# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it, on the example plugin's instant renderer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthkit import cli
from synthkit.dataset import Dataset

COMMAND = [sys.executable, "-c", "from synthkit.cli import main; main()"]
BUILD = ["build", "--renderer", "discs", "--refiner", "tint", "--set", "renderer.size_px=64"]


def synthkit(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def group_ends(group: int, seconds: float = 20.0) -> bool:
    """Wait for the last process of a group: the ended stay in it until the system's first process has seen to them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from synthkit.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'bpy', 'cv2', 'webdataset', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in (
        "build",
        "render",
        "preview",
        "tune",
        "fit",
        "refine",
        "demo",
        "convert",
        "crops",
        "bodies",
        "detect",
        "train",
        "evaluate",
        "export",
        "verify",
    ):
        assert command in done.stdout


def test_no_command_shows_the_help() -> None:
    done = synthkit()
    assert done.returncode == 2
    assert "Usage: " in done.stdout + done.stderr
    assert "error: " not in done.stderr


def test_plugins_list_names_every_kind_and_origin() -> None:
    listed = json.loads(synthkit("plugins", "list", "--json").stdout)
    found = {(item["kind"], item["name"]): item["distribution"] for item in listed["components"]}
    assert found["renderer", "blender"] == "synthkit-blender"
    assert found["renderer", "discs"] == "synthkit-example-discs"
    assert found["refiner", "cyclegan-dfm"] == "synthkit-cyclegan"
    assert found["detector", "squeezedet"] == "synthkit-squeezedet"
    assert found["metric", "detection"] == "synthkit-detection"
    assert listed["broken"] == []


def test_plugins_show_tells_settings() -> None:
    shown = synthkit("plugins", "show", "discs").stdout
    assert "size_px" in shown
    assert "renderer discs" in shown


def test_build_makes_a_refined_set_and_prints_where(tmp_path: Path) -> None:
    done = synthkit(*BUILD, "--count", "4", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "refined") in done.stdout
    assert "drift:   0 of" in done.stderr
    rendered, refined = Dataset.open(tmp_path / "out" / "rendered"), Dataset.open(tmp_path / "out" / "refined")
    assert list(rendered.keys()) == list(refined.keys())
    assert (rendered[0].image != refined[0].image).any()
    assert rendered[0].people == refined[0].people
    assert synthkit("verify", str(refined.path)).returncode == 0


def test_build_without_out_goes_on_in_the_same_new_folder(tmp_path: Path) -> None:
    first, again = (synthkit(*BUILD, "--count", "2", cwd=tmp_path) for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert len(list((tmp_path / "synthkit-out").iterdir())) == 1


def test_worker_count_and_place_do_not_matter(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        done = synthkit(*BUILD, "--count", "6", "--workers", workers, "--out", str(tmp_path / workers))
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "1") == files(tmp_path / "2")


LONGER = [*BUILD, "--count", "40", "--set", "scenes_per_shard=3", "--workers", "2"]


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a longer build that nobody stopped."""
    out = tmp_path_factory.mktemp("longer") / "whole"
    done = synthkit(*LONGER, "--out", str(out))
    assert done.returncode == 0, done.stderr
    return files(out)


@pytest.mark.parametrize("seconds", [0.8, 1.3, 2.0])
def test_killed_build_goes_on_to_the_same_bytes(tmp_path: Path, longer: dict[str, bytes], seconds: float) -> None:
    command = [*COMMAND, *LONGER, "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    again = synthkit(*LONGER, "--out", str(tmp_path / "killed"))
    assert again.returncode == 0, again.stderr
    assert files(tmp_path / "killed") == longer


def test_settings_come_from_file_then_set_then_flags(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'seed = 3\n[renderer]\nname = "discs"\nsize_px = 96\n[refiner]\nname = "tint"\nstrength = 0.1\n'
    )
    done = synthkit("build", "--config", str(tmp_path / "run.toml"), "--set", "renderer.size_px=64", "--seed", "5",
                    "--count", "1", "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = Dataset.open(tmp_path / "out" / "refined")
    assert data.manifest is not None
    assert data.manifest.identity["seed"] == 5
    assert data.manifest.identity["component"]["config"]["strength"] == 0.1
    assert data[0].size_px == (64, 64)


def test_all_wrong_settings_are_told_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    wrong = ("--set", "refiner.strenght=1", "--set", "sede=1")
    done = synthkit("build", "--renderer", "disc", "--refiner", "tint", *wrong,
                    "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 2
    assert "did you mean 'discs'" in done.stderr
    assert "refiner.strenght: unknown setting; did you mean 'strength'" in done.stderr
    assert "sede: unknown setting; did you mean 'seed'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_build_of_what_needs_no_training_can_grow_but_not_shrink(tmp_path: Path) -> None:
    for count in ("2", "5"):
        done = synthkit(*BUILD, "--count", count, "--out", str(tmp_path / "grown"))
        assert done.returncode == 0, done.stderr
    assert synthkit(*BUILD, "--count", "5", "--out", str(tmp_path / "whole")).returncode == 0
    assert files(tmp_path / "grown") == files(tmp_path / "whole")
    done = synthkit(*BUILD, "--count", "1", "--out", str(tmp_path / "grown"))
    assert done.returncode == 2
    assert "can grow but not shrink" in done.stderr
    assert files(tmp_path / "grown") == files(tmp_path / "whole")


def test_an_interrupt_before_any_work_is_one_line_too() -> None:
    code = "import sys, synthkit.cli, synthkit.cli.app as app\nfrom unittest import mock\n"
    code += "with mock.patch.object(app, '_plan', side_effect=KeyboardInterrupt): synthkit.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "render", "--out", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr == "interrupted; run the same command again to go on\n"


@pytest.mark.parametrize("rank", [0, 1])
def test_of_the_processes_of_torchrun_the_first_tells_a_mistake(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[tuple[float, str]] = []  # how long was waited, and what had been said until then
    monkeypatch.setattr(cli.time, "sleep", lambda seconds: heard.append((seconds, capsys.readouterr().err)))
    arguments = ["fit", "--refiner", "nobodys", "--source", "x", "--target", "y", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["synthkit", *arguments])
    for name, value in {"RANK": str(rank), "WORLD_SIZE": "2", "OMP_WAIT_POLICY": "PASSIVE"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    # Torchrun ends the others meanwhile; if it does not, the mistake was theirs and is told.
    assert heard == ([] if rank == 0 else [(5.0, "")])
    assert "error: no refiner is called 'nobodys'" in capsys.readouterr().err


def test_a_build_killed_while_it_took_its_folder_goes_on(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".build.json.123.tmp").write_bytes(b'{"cou')
    done = synthkit(*BUILD, "--count", "1", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["build.json", "refined", "rendered"]


def test_a_real_set_with_wrong_boxes_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "annotations").mkdir(parents=True)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(photos / "a.png")
    table = {"images": [{"file_name": "a.png", "id": "a"}],
             "annotations": [{"image_id": "a", "bbox": [900, 20, 10, 20, 0]}]}  # fmt: skip
    (photos / "annotations" / "v.json").write_text(json.dumps(table))
    done = synthkit(*TRAINED, "--real", str(photos), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "(900, 20) lies outside the image of 64x48 pixels" in done.stderr
    assert not (tmp_path / "out").exists(), "a folder taken now would be refused once the boxes are mended"


def test_wrong_settings_of_the_demonstration_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('seed = "x"\n[renderer]\nname = "discs"\nfoo = 1\n')
    wrong = ("--set", "demo.source=0", "--set", "detector=5", "--set", "refiner.stepps=1", "--set", "dmeo.x=1")
    done = synthkit("demo", "--config", "run.toml", *wrong, "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    for start in ("seed", "renderer.foo", "demo.source", "detector", "refiner.stepps", "dmeo"):
        assert sum(line.startswith(f"error: {start}: ") for line in done.stderr.splitlines()) == 1, done.stderr
    assert "did you mean 'steps'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_demonstration_needs_parts_that_learn(tmp_path: Path) -> None:
    done = synthkit("demo", "--renderer", "discs", "--refiner", "tint", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "refiner 'tint' learns nothing" in done.stderr
    assert not (tmp_path / "out").exists()


TRAINED = ("build", "--renderer", "discs", "--refiner", "cyclegan-dfm")
BAD_INPUTS: dict[str, Sequence[str]] = {
    "missing real set": [*TRAINED, "--real", "nowhere"],
    "empty real set": [*TRAINED, "--real", "empty"],
    "strange real set": [*TRAINED, "--real", "other"],
    "occupied out": [*BUILD, "--out", "other"],
    "occupied render out": ["render", "--renderer", "discs", "--out", "other"],
    "missing config": [*BUILD, "--config", "none.toml"],
    "strange config": [*BUILD, "--config", "other/thesis.txt"],
    "no such data set": ["refine", "nowhere", "x", "--refiner", "tint"],
    "no such checkpoint": ["export", "none.safetensors"],
    "strange checkpoint": ["export", "other/thesis.txt"],
    "no such set": ["verify", "nowhere"],
    "convert nothing": ["convert", "nowhere", "x"],
    "real set for what learns nothing": [*BUILD, "--real", "other"],
    "settings of what is not used": ["render", "--renderer", "discs", "--set", "refiner.steps=1", "--out", "x"],
    "export over another file": ["export", "none.safetensors", "--out", "other/thesis.txt"],
    "unknown option": [*BUILD, "--cuont", "3"],
    "unknown command": ["biuld"],
    "a count of nothing": [*BUILD, "--count", "0"],
    "a missing argument": ["convert", "other"],
    "a name that is too long": ["verify", "x" * 300],
    "an out that is too long": [*BUILD, "--out", "x" * 300],
    "fit what learns nothing": ["fit", "--refiner", "tint", "--source", "a", "--target", "b", "--out", "c"],
}


@pytest.mark.parametrize("case", sorted(BAD_INPUTS))
def test_bad_input_gets_a_clear_line_and_destroys_nothing(tmp_path: Path, case: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    before = files(tmp_path)
    done = synthkit(*BAD_INPUTS[case], cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    after = files(tmp_path)
    assert {name: after.get(name) for name in before} == before


def test_a_full_disk_ends_with_one_line_and_goes_on_later(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no right to mount a file system here")
    try:
        arguments = [*BUILD, "--count", "40", "--workers", "2", "--out", str(disk / "out")]
        done = synthkit(*arguments)
        assert done.returncode == 1, done.stderr
        assert "space" in done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        again = synthkit(*arguments)
        assert again.returncode == 0, again.stderr
        assert len(Dataset.open(disk / "out" / "refined")) == 40
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interrupt_ends_quickly_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    arguments = [*BUILD, "--count", "60", "--workers", "2", "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    process.stderr.readline()  # work has begun
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert group_ends(process.pid)
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert synthkit(*arguments).returncode == 0


def test_a_build_killed_while_training_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    size = ("--set", "renderer.size_px=96")
    real = synthkit("render", "--renderer", "discs-dim", *size, "--count", "4", "--out", str(tmp_path / "real"))
    assert real.returncode == 0, real.stderr
    # Lines of the curves span the kept states, so that what is summed up between must survive too.
    options = {"steps": 8, "checkpoint_every": 3, "log_every": 4, "picture_every": 0, "crop_px": 64}
    options |= {"generator_filters": 4, "discriminator_filters": 4, "perceptual": '"mobilenet_v2"'}
    arguments = ["build", "--renderer", "discs", "--refiner", "cyclegan-dfm", *size, "--count", "4",
                 "--real", str(tmp_path / "real"), "--workers", "1",
                 *(part for key, value in options.items() for part in ("--set", f"refiner.{key}={value}"))]  # fmt: skip
    process = subprocess.Popen([*COMMAND, *arguments, "--out", str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "refiner" / "state.safetensors"
    while process.poll() is None and not state.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert state.exists(), "the training must have kept a state"
    for out in ("killed", "whole"):
        done = synthkit(*arguments, "--out", str(tmp_path / out))
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


COMMANDS = """
import typer

app = typer.Typer(no_args_is_help=True)

@app.callback()
def group() -> None:
    '''Frobs of all kinds.'''

@app.command()
def frob(text: str) -> None:
    '''Frob a text.'''
    from synthkit.errors import DatasetError
    if text == "wrong":
        raise DatasetError("no such text")
    typer.echo(text[::-1])
"""


def with_commands(folder: Path, name: str, source: str, distribution: str = "stranger") -> dict[str, str]:
    """Put a distribution with commands on the path; return the environment that has it."""
    module = f"{distribution}_commands"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[synthkit.v1.commands]\n{name} = {module}:app\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def run_with(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def test_commands_of_plugins_are_listed_unseen_and_imported_when_used(tmp_path: Path) -> None:
    environment = with_commands(tmp_path, "frobs", f"open({str(tmp_path / 'imported')!r}, 'w')\n{COMMANDS}")
    listed = run_with(environment, "--help")
    assert "frobs Commands of stranger." in " ".join(listed.stdout.split())
    assert not (tmp_path / "imported").exists()
    shown = run_with(environment, "frobs", "--help").stdout
    assert "Frobs of all kinds." in shown
    assert "Frob a text." in shown
    assert run_with(environment, "frobs", "frob", "abc").stdout == "cba\n"
    wrong = run_with(environment, "frobs", "frob", "wrong")
    assert (wrong.returncode, wrong.stderr) == (2, "error: no such text\n")
    allowed = run_with({**environment, "SYNTHKIT_PLUGINS": "other"}, "frobs", "frob", "abc")
    assert allowed.returncode == 2
    assert "No such command 'frobs'" in allowed.stderr


def test_commands_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    environment = with_commands(tmp_path, "frobs", "import nothing_like_this\n")
    broken = run_with(environment, "frobs", "frob", "abc")
    assert broken.returncode == 2
    assert broken.stderr.startswith("error: commands 'frobs' of stranger cannot be loaded: ModuleNotFoundError")
    assert broken.stderr.count("\n") == 1
    with_commands(tmp_path, "frobs", COMMANDS, "other")
    both = run_with(environment, "frobs", "frob", "abc")
    assert "come from other and stranger; uninstall one" in both.stderr
    with_commands(tmp_path, "build", "raise SystemExit('imported')\n", "thief")
    assert "From nothing" in run_with(environment, "demo", "--help").stdout
    assert "Render, train the refiner, refine" in run_with(environment, "build", "--help").stdout
