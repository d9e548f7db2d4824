# SPDX-License-Identifier: Apache-2.0
"""Clothes, hair and skins out of folders in MakeHuman's layout."""
