# SPDX-License-Identifier: Apache-2.0
"""A tracker: experiments as TensorBoard shows them, while they run."""
