# SPDX-License-Identifier: Apache-2.0
"""synthkit refiner: unpaired image translation of the CycleGAN family."""
