# SPDX-License-Identifier: Apache-2.0
"""Components of ``tests/jobs`` as plugins that worker processes find as well."""

from __future__ import annotations

from pathlib import Path

JOBS = Path(__file__).parent.parent / "jobs"


def install_jobs(folder, monkeypatch, *names):
    """Install modules of ``tests/jobs``, and nothing else, as plugins; ``folder`` takes what tells of them."""
    for name in names:
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[synthkit.v1]\n{name} = {name}\n")
    monkeypatch.setenv("SYNTHKIT_PLUGINS", ",".join(names))
    monkeypatch.syspath_prepend(JOBS)
    monkeypatch.syspath_prepend(folder)
