# SPDX-License-Identifier: Apache-2.0
"""Choosing crops: what is measured of them, rules, lists, and the page with which a person chooses."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from synthkit import crops
from synthkit.cli.app import app
from synthkit.config import identity, structure
from synthkit.crop_choice import CropChoice
from synthkit.crops.choosing import Chooser, crop_id, measured
from synthkit.dataset import DatasetWriter
from synthkit.dataset.tools import crop_sheet as tool
from synthkit.dataset.tools.crop_sheet import crop_sheet
from synthkit.errors import ConfigError, DatasetError
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds


def sample_of(*boxes: RotatedBox, key: str = "photo", blur: float = 0) -> Sample:
    image = Seeds(3).stream("pixels").integers(0, 256, (120, 160, 3), dtype=np.uint8)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return Sample(key, image, tuple(Person(rotated_box=box) for box in boxes))


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# What is saved is put into the page; a page of ours lets no script but its own run.
CLICKS = """<script>
URL.createObjectURL = (blob) => {
  blob.text().then((text) => {
    document.body.append(Object.assign(document.createElement("pre"), { id: "saved", textContent: text }));
  });
  return "#";
};
document.querySelectorAll(".crop")[0].click();
document.querySelectorAll(".crop")[1].click();
document.getElementById("save").click();
</script>"""
LONE = RotatedBox(40, 60, 20, 50, 0)
COVERED, COVERING = RotatedBox(110, 60, 20, 40, 0), RotatedBox(120, 60, 20, 40, 0)
CUT = RotatedBox(80, 0, 20, 60, 0)


def reasons(sample: Sample, **rules) -> list[str | None]:
    chooser = Chooser(CropChoice(**rules))
    return [chooser.reason_against(sample, plan) for plan in crops.plan_crops(sample)]


def test_measures_are_those_of_the_box_and_what_is_in_it():
    sample = sample_of(LONE, COVERED, COVERING, CUT)
    lone, covered, covering, cut = (measured(sample, plan) for plan in crops.plan_crops(sample))
    assert (lone.length_px, lone.aspect, lone.overlap) == (50, 2.5, 0)
    assert lone.inside == pytest.approx(1)
    assert covered.overlap == pytest.approx(0.5, abs=1e-3)
    assert covering.overlap == pytest.approx(0.5, abs=1e-3)
    assert cut.inside == pytest.approx(0.5, abs=1e-3)
    blurred = sample_of(LONE, blur=1.5)
    assert measured(blurred, crops.plan_crops(blurred)[0]).sharpness < lone.sharpness / 5


def test_flat_pixels_have_no_sharpness():
    flat = Sample("flat", np.full((120, 160, 3), 90, np.uint8), (Person(rotated_box=LONE),))
    assert measured(flat, crops.plan_crops(flat)[0]).sharpness == 0


def test_each_rule_leaves_out_whom_it_means():
    sample = sample_of(LONE, COVERED, COVERING, CUT)
    assert reasons(sample) == [None] * 4
    assert reasons(sample, min_px=45) == [None, "40 px long", "40 px long", None]
    assert reasons(sample, max_overlap=0.4) == [None, "50% overlapped", "50% overlapped", None]
    assert reasons(sample, min_inside=1.0) == [None, None, None, "50% inside"]
    assert reasons(sample, aspect=(2.2, 2.7)) == [None, "aspect 2.0", "aspect 2.0", "aspect 3.0"]
    assert all(reason.startswith("sharpness") for reason in reasons(sample, min_sharpness=1e4))


def test_a_list_outvotes_rules_and_its_last_fitting_line_counts(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(
        "# chosen by hand\n\ndrop photo/0  # a screen\nkeep photo/1\ndrop other*\nkeep photo\nkeep photo/2\n"
        "drop photo/2\n"
    )
    sample = sample_of(LONE, COVERED, COVERING, CUT)
    assert reasons(sample, list=path, min_px=100) == [None, None, "listed", None]
    path.write_text("drop photo/0\nkeep photo/1\n")
    assert reasons(sample, list=path, min_px=45) == ["listed", None, "40 px long", None]
    path.write_text("drop *\nkeep photo/3\n")
    assert reasons(sample, list=path) == ["listed"] * 3 + [None]


def test_keys_with_spaces_and_brackets_can_be_listed(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("drop a photo [1]/0\n")
    assert reasons(sample_of(LONE, CUT, key="a photo [1]"), list=path) == ["listed", None]


def test_what_a_list_says_wrongly_is_told_with_its_lines(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("keep\nleave photo/1\nkeep photo/1\n")
    with pytest.raises(ConfigError, match=r"line 1: expected 'keep NAME'[\s\S]*line 2.*'leave photo/1'"):
        Chooser(CropChoice(list=path))
    with pytest.raises(ConfigError, match="cannot be read"):
        Chooser(CropChoice(list=tmp_path / "none.txt"))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text"):
        Chooser(CropChoice(list=path))


def test_a_list_of_another_set_is_noticed(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("drop photo/0\ndrop stranger/4\ndrop none*\n")
    sample = sample_of(LONE)
    chooser = Chooser(CropChoice(list=path))
    chooser.reason_against(sample, crops.plan_crops(sample)[0])
    with pytest.raises(ConfigError, match=r"names 1 crops or images that the set does not have \(stranger/4\)"):
        chooser.check_all_met()


def test_the_content_of_the_list_decides_and_not_its_name(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("drop x\n")
    second.write_text("drop x\n")
    assert identity(CropChoice(list=first)) == identity(CropChoice(list=second))
    second.write_text("keep x\n")
    assert identity(CropChoice(list=first)) != identity(CropChoice(list=second))


def test_rules_that_cannot_be_are_told():
    with pytest.raises(ConfigError, match=r"min_inside: must lie between 0 and 1[\s\S]*aspect: must be \(low, high\)"):
        structure(CropChoice, {"min_inside": 2, "aspect": [3, 2]})


def write(folder, samples):
    with DatasetWriter(folder, identity={"what": "crops"}, scenes=len(samples)) as writer:
        for scene, sample in enumerate(samples):
            writer.spool.put(scene, [sample])
            writer.finished(scene)
        writer.finalise()
    return folder


def shown(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    return json.loads(found[1])["crops"]


def test_the_page_shows_every_crop_and_the_list_keeps_what_the_page_says(tmp_path):
    data = write(tmp_path / "set", [sample_of(LONE, CUT, key="a"), sample_of(COVERED, COVERING, key="<b>c")])
    made = crop_sheet(data, tmp_path / "out", CropChoice(min_px=45))
    assert (made.kept, made.dropped, made.list_found) == (2, 2, False)
    items = shown(made.page)
    assert [item["id"] for item in items] == ["a/0", "a/1", "<b>c/0", "<b>c/1"]
    assert [item["reason"] for item in items] == [None, None, "40 px long", "40 px long"]
    text = made.list.read_text()
    assert "keep a/0\n" in text
    assert "drop <b>c/1  # 40 px long\n" in text

    made.list.write_text(text.replace("keep a/0", "drop a/0"))
    again = crop_sheet(data, tmp_path / "out", CropChoice())
    assert again.list_found
    assert [item["reason"] for item in shown(again.page)] == ["listed", None, "listed", "listed"]
    assert "drop a/0" in again.list.read_text(), "what a person wrote stays"
    sample = sample_of(LONE, CUT, key="a")
    chooser = Chooser(CropChoice(list=again.list))
    kept = [crop_id(sample, plan) for plan in crops.plan_crops(sample) if chooser.reason_against(sample, plan) is None]
    assert kept == ["a/1"]


def test_of_very_many_crops_a_part_is_shown_and_all_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "MOST_SHOWN", 3)
    data = write(tmp_path / "set", [sample_of(LONE, COVERED, COVERING, CUT, key=f"s{n}") for n in range(4)])
    made = crop_sheet(data, tmp_path / "out", CropChoice())
    assert [n for n, item in enumerate(shown(made.page)) if item["picture"]] == [0, 8]
    assert "16 people in 4 images, 2 of them shown" in made.page.read_text()
    assert made.list.read_text().count("keep ") == 16


def test_pages_go_neither_over_foreign_files_nor_into_sets(tmp_path):
    data = write(tmp_path / "set", [sample_of(LONE)])
    with pytest.raises(ConfigError, match="is in the data set"):
        crop_sheet(data, data, CropChoice())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "crops.html").write_text("mine")
    with pytest.raises(ConfigError, match="was not written by this command"):
        crop_sheet(data, tmp_path / "out", CropChoice())
    other = tmp_path / "other.txt"
    other.write_text("drop photo/0\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "crops.txt").write_text("keep photo/0\n")
    with pytest.raises(ConfigError, match="is there already"):
        crop_sheet(data, tmp_path / "two", CropChoice(list=other))
    nobody = write(tmp_path / "nobody", [Sample("n", np.zeros((20, 20, 3), np.uint8), ())])
    with pytest.raises(DatasetError, match="nobody to crop"):
        crop_sheet(nobody, tmp_path / "three", CropChoice())
    assert not (tmp_path / "three").exists()


def test_the_command_tells_how_the_list_is_used(tmp_path):
    data = write(tmp_path / "set", [sample_of(LONE, COVERED)])
    done = CliRunner().invoke(app, ["crops", str(data), "--out", str(tmp_path / "out"), "--aspect", "2.2,9"])
    assert done.exit_code == 0, done.output
    assert "1 crops kept, 1 dropped" in done.output
    assert f"--set refiner.target_crops.list={tmp_path / 'out' / 'crops.txt'}" in done.output
    wrong = CliRunner().invoke(app, ["crops", str(data), "--out", str(tmp_path / "out"), "--aspect", "wide"])
    assert wrong.exit_code == 2


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_clicks_in_the_browser_end_in_the_list(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "MOST_SHOWN", 2)  # the third is in the list all the same
    data = write(tmp_path / "set", [sample_of(LONE, COVERED, COVERING, COVERED, key="<b>c")])
    page = crop_sheet(data, tmp_path / "out", CropChoice(min_px=45)).page
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text())
    page.write_text(text.replace("</body>", f"{CLICKS}</body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "</html>" not in done.stdout:
        pytest.skip("Chromium does not start here")
    assert "1 kept, 3 dropped" in done.stdout
    assert done.stdout.count('<img src="data:image/webp') == 2
    saved = html.unescape(re.search(r'<pre id="saved">(.*?)</pre>', done.stdout, re.S)[1])
    assert saved == "drop <b>c/0\ndrop <b>c/1\nkeep <b>c/2\ndrop <b>c/3\n"
    (tmp_path / "saved.txt").write_text(saved)
    again = sample_of(LONE, COVERED, COVERING, COVERED, key="<b>c")
    assert reasons(again, list=tmp_path / "saved.txt") == ["listed", "listed", None, "listed"]
