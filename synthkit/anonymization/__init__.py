# SPDX-License-Identifier: Apache-2.0
"""Handing images of people on without those people; whoever is in doubt is blurred, never shown."""
