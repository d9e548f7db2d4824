# SPDX-License-Identifier: Apache-2.0
"""The report of ``synthkit experiment``: a page, and the same tables and figures as files."""

from synthkit.report.experiment.writing import write_report

__all__ = ["write_report"]
