# SPDX-License-Identifier: Apache-2.0
"""Crops of one person each, with masks and surface maps, as anonymizers learn from them (thesis 002, section 4.3)."""
