# SPDX-License-Identifier: Apache-2.0
"""synthkit metric: Frechet distances between image sets in a named feature space."""
