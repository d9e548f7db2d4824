# SPDX-License-Identifier: Apache-2.0
"""Progress where there is no terminal: a line now and then, and one at each end."""

from __future__ import annotations

import logging

import pytest

from synthkit.cli.progress import Terminal


def test_a_stage_that_comes_again_speaks_again(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as progress:
        for total in (2, 3):
            for done in range(total + 1):
                progress("render", done, total)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["0/2", "2/2", "3/3"]


def test_a_warning_is_told_once_in_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with Terminal():
            for name in ("a", "b", "a"):
                logging.getLogger("synthkit").warning("photo %s lacks notes", name)
    assert capsys.readouterr().err.splitlines() == ["photo a lacks notes", "photo b lacks notes"] * 2
