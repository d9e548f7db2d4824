# SPDX-License-Identifier: Apache-2.0
"""The networks whose features are compared, written from their papers, with the published files' parameter names."""
