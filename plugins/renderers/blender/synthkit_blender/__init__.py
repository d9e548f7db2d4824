# SPDX-License-Identifier: Apache-2.0
"""synthkit renderer: people under a ceiling fisheye, rendered by Blender with exact truth."""
