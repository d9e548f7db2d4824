# SPDX-License-Identifier: Apache-2.0
"""synthkit metric: whether people keep their colours on the same place of their bodies."""
