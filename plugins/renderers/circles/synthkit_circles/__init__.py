# SPDX-License-Identifier: Apache-2.0
"""Toy domains for experiments with refiners: circles on plain backgrounds (thesis 000, figure 5.7)."""
