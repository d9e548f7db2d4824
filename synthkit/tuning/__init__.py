# SPDX-License-Identifier: Apache-2.0
"""Fitting a renderer's settings to real images: what labels tell is measured, what images look like is searched."""
