# SPDX-License-Identifier: Apache-2.0
"""The detector ``onnx``: runs what others trained, or what synthkit exported, from an ONNX file."""
