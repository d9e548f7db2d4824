# SPDX-License-Identifier: Apache-2.0
"""synthkit refiner: contrastive unpaired translation (Park et al. 2020)."""
