# SPDX-License-Identifier: Apache-2.0
"""What a data set says about itself in others' words: Croissant, with its responsible-AI fields."""

from synthkit.dataset.metadata.croissant import FILE, SIGNED, Described, Signer, describe
from synthkit.dataset.metadata.statement import Statement

__all__ = ["FILE", "SIGNED", "Described", "Signer", "Statement", "describe"]
