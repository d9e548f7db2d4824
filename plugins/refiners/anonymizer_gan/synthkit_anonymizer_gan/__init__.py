# SPDX-License-Identifier: Apache-2.0
"""synthkit refiners: people replaced by generated ones (thesis 002)."""
