# SPDX-License-Identifier: Apache-2.0
"""Experiments: one file says what is compared; its steps are planned, run, and told as one report (algorithm 3)."""
