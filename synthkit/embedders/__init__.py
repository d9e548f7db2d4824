# SPDX-License-Identifier: Apache-2.0
"""Networks by whose numbers people are told apart: for metrics, and for knowing somebody again in a clip."""
