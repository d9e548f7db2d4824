# SPDX-License-Identifier: Apache-2.0
"""Whether refinement leaves people where they are: a check that knows nothing of the refiner, and what follows."""
