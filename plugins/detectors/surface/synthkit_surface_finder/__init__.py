# SPDX-License-Identifier: Apache-2.0
"""synthkit detector: people with masks and body-surface coordinates, learned from rendered truth."""
