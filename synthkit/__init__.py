# SPDX-License-Identifier: Apache-2.0
"""synthkit: training data of people as ceiling fisheyes see them, made, refined, judged."""

from __future__ import annotations

__version__ = "0.1.0"
