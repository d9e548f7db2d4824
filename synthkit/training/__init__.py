# SPDX-License-Identifier: Apache-2.0
"""What learning components share; the only part of the kit that imports torch at the top.

Training here is a function of (configuration, data, seed): every random draw is addressed by its step, so
that a run killed at any moment goes on to the same weights on a CPU with the same number of threads.
"""
