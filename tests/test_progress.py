# SPDX-License-Identifier: Apache-2.0
"""Progress where there is no terminal: a line now and then, and one at each end."""

from __future__ import annotations

import pytest

from synthkit.cli.progress import Terminal


def test_a_stage_that_comes_again_speaks_again(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as progress:
        for total in (2, 3):
            for done in range(total + 1):
                progress("render", done, total)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["0/2", "2/2", "3/3"]
