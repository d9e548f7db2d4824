# SPDX-License-Identifier: Apache-2.0
"""AGGAN: image translation that learns where to look (Mejjati et al. 2018; thesis 000, section 2.5)."""
