# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of data sets compares: a module for ours and one for each peer, with the same functions."""
