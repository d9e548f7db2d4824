# SPDX-License-Identifier: Apache-2.0
"""synthkit refiners: people masked, blurred or pixelated beyond recognition."""
