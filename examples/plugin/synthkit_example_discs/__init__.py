# SPDX-License-Identifier: Apache-2.0
"""An example plugin: people as discs, drawn in milliseconds with nothing but NumPy."""
