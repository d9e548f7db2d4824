# SPDX-License-Identifier: Apache-2.0
"""synthkit metric: precision, recall, F1 and AP of detectors."""
