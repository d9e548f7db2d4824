# SPDX-License-Identifier: Apache-2.0
"""What the toolchains of devices take, as far as their makers' documents say."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.errors import ConfigError

Quantisation = Literal["float", "per-channel", "per-tensor"]

NETWORK_OPERATORS = frozenset({"Conv", "Relu", "MaxPool", "Concat", "Sigmoid"})
_QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear"})


@attrs.frozen
class Profile:
    """What a file for a device must be.

    Args:
        name, summary: of the profile. document: where its maker says so.
        opset, ir: the newest that are read. operators: that run on the device; None: any of ONNX's.
        quantisations: that make sense; an export takes the first. static: whether all shapes must be fixed.
        after: what is done with the file then.
    """

    name: str
    summary: str
    document: str
    opset: int
    ir: int
    operators: frozenset[str] | None
    quantisations: tuple[Quantisation, ...]
    static: bool
    after: str


_ALL = (
    Profile(
        name="any",
        summary="any runtime of the last years: ONNX's own operators up to opset 17, IR version 8",
        document="https://onnxruntime.ai/docs/reference/compatibility.html",
        opset=17,
        ir=8,
        operators=None,
        quantisations=("float", "per-channel", "per-tensor"),
        static=False,
        after="run it with ONNX Runtime 1.12 or newer",
    ),
    Profile(
        name="stm32n6",
        summary="STM32N6's Neural-ART: 8 bits, weights signed and symmetric per channel, activations signed",
        document="https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",
        opset=17,
        ir=8,
        operators=NETWORK_OPERATORS | _QUANTISERS,
        quantisations=("per-channel",),
        static=True,
        after="stedgeai generate --model FILE --target stm32n6 --st-neural-art --input-data-type uint8",
    ),
    Profile(
        name="stm32mp2",
        summary="STM32MP2's NPU: 8 bits per tensor, asymmetric; per channel runs on its GPU, several times slower",
        document="https://wiki.st.com/stm32mpu/wiki/STM32MP2_NPU_description",
        opset=17,
        ir=8,
        operators=NETWORK_OPERATORS | _QUANTISERS,
        quantisations=("per-tensor",),
        static=True,
        after="stedgeai generate --model FILE --target stm32mp25",
    ),
    Profile(
        name="hailo",
        summary="Hailo's Dataflow Compiler: a float network, which the compiler quantises by sample images itself",
        document="https://developer.ridgerun.com/wiki/index.php/Hailo/Hailo-8/AI_Software_and_Tools",
        opset=17,
        ir=8,
        operators=NETWORK_OPERATORS,
        quantisations=("float",),
        static=True,
        after="hailo parser onnx FILE, then hailo optimize with sample images as they are (pixels 0 to 255)",
    ),
    Profile(
        name="ti",
        summary="TI's TIDL (AM6xA, TDA4): a float network, which TIDL quantises itself, or 8 bits as QDQ",
        document="https://github.com/TexasInstruments/edgeai-tidl-tools/blob/master/docs/operators.md",
        opset=17,
        ir=8,
        operators=NETWORK_OPERATORS | _QUANTISERS,
        quantisations=("float", "per-channel", "per-tensor"),
        static=True,
        after="compile it with edgeai-tidl-tools and sample images as they are (mean 0, scale 1)",
    ),
    Profile(
        name="litert",
        summary="converters to LiteRT (TensorFlow Lite): a float network, which they quantise by sample images",
        document="https://github.com/PINTO0309/onnx2tf",
        opset=17,
        ir=8,
        operators=NETWORK_OPERATORS,
        quantisations=("float",),
        static=True,
        after="convert it with onnx2tf (pip install onnx2tf), and quantise it there with sample images as they are",
    ),
)
PROFILES = {profile.name: profile for profile in _ALL}


def profile_named(name: str) -> Profile:
    """Return a profile.

    Raises:
        ConfigError: listing them.
    """
    if name not in PROFILES:
        raise ConfigError([f"--profile {name}: is not known; there are {', '.join(PROFILES)}"])
    return PROFILES[name]
