# SPDX-License-Identifier: Apache-2.0
"""synthkit metrics: re-identification, consistency after anonymization, and leakage through it."""
