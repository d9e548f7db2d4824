# SPDX-License-Identifier: Apache-2.0
"""synthkit detector: SqueezeDet for ceiling sensors, exported as ONNX."""
