# SPDX-License-Identifier: Apache-2.0
"""The local page on which people note what their photos show."""
