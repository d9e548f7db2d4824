# SPDX-License-Identifier: Apache-2.0
"""The detector ``detectron2``: people by Mask R-CNN and DensePose CSE, of an installed detectron2."""
