# SPDX-License-Identifier: Apache-2.0
"""synthkit refiner: people blended with textures from a folder of pictures (thesis 000, section 5.6)."""
