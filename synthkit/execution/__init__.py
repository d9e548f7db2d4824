# SPDX-License-Identifier: Apache-2.0
"""One primitive runs all work: a job, over task numbers, in this process or in workers of our own."""

from __future__ import annotations

from synthkit.execution.jobs import Done, Failed, JobSpec
from synthkit.execution.runner import run

__all__ = ["Done", "Failed", "JobSpec", "run"]
