# SPDX-License-Identifier: Apache-2.0
"""synthkit metrics: how like real images others are, in feature spaces that results name."""
