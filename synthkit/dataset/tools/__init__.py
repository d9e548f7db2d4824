# SPDX-License-Identifier: Apache-2.0
"""What is done with finished data sets: repaired, counted, split, merged, filtered and looked at."""
