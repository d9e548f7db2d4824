# SPDX-License-Identifier: Apache-2.0
"""Detectors on their way to a device: ONNX files, cards, 8 bits, what toolchains take, running them.

Needs the extra ``onnx`` (onnx, onnxruntime) and never torch.
"""
