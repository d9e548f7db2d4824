# SPDX-License-Identifier: Apache-2.0
"""Opening ONNX files, which are a stranger's until they have been looked at."""

from __future__ import annotations

import graphlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import onnx
from onnx import numpy_helper

from synthkit.deployment import wire
from synthkit.deployment.cards import MAX_CARD_BYTES
from synthkit.errors import WeightsError
from synthkit.files import small_file

CARD_KEY = "synthkit.card"
MAX_MODEL_BYTES = 512 * 1024 * 1024

_MOST_NODES = 100_000
_DEEPEST = 8
_STANDARD = ("", "ai.onnx")
_DOMAINS = (*_STANDARD, "ai.onnx.ml", "com.microsoft")  # what ONNX Runtime brings itself; none loads a library
_ENDLESS = frozenset({"Loop", "Scan"})


@attrs.frozen(eq=False)
class OnnxFile:
    """An ONNX model whose file was found harmless: bytes, and the same parsed."""

    data: bytes
    model: Any

    @classmethod
    def read(cls, path: Path, what: str = "a detector") -> OnnxFile:
        """Read a file.

        Args:
            what: it is, for the message of one that is too large.

        Raises:
            WeightsError: naming the file, when it cannot be read or is refused; see ``parse``.
        """
        try:
            return cls.parse(small_file(path, MAX_MODEL_BYTES, what))
        except ValueError as error:
            raise WeightsError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, data: bytes) -> OnnxFile:
        """Look at a model's bytes; nothing is run, and no other file is opened.

        Raises:
            ValueError: when it is no ONNX model, keeps weights in other files, has operators that are not of ONNX or
                ONNX Runtime, or such that may run for ever, or holds more than memory may.
        """
        wire.check(data)
        try:
            model = onnx.load_model_from_string(data)
            nodes = list(all_nodes(model))
        except ValueError:
            raise
        except Exception as error:  # protobuf's decoder has its own
            raise ValueError(f"is no ONNX model ({type(error).__name__})") from None
        if not nodes:
            raise ValueError("is no ONNX model: it has no operators")
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
            raise ValueError(
                "keeps weights in other files; make it one file: onnx.save(onnx.load(FILE), OUT,"
                " save_as_external_data=False)"
            )
        for tensor in _tensors(model):
            try:
                numpy_helper.to_array(tensor)
            except Exception:  # each kind of damage has its own
                raise ValueError(f"is no ONNX model: its tensor {tensor.name!r} does not hold what it states") from None
        functions = {(function.domain, function.name) for function in model.functions}
        for node in nodes:
            if node.domain not in _DOMAINS and (node.domain, node.op_type) not in functions:
                raise ValueError(f"has the operator {node.domain}:{node.op_type}, which is not of ONNX")
            if node.op_type in _ENDLESS:
                raise ValueError(f"has the operator {node.op_type}, which may run for ever; export it without")
        _check_functions(model)
        return cls(data, model)

    @property
    def card(self) -> Any:
        """The card that synthkit put into the file, plain values not yet checked; None when there is none."""
        for entry in self.model.metadata_props:
            if entry.key == CARD_KEY and len(entry.value) <= MAX_CARD_BYTES:
                try:
                    return json.loads(entry.value)
                except (ValueError, RecursionError):
                    return None
        return None

    @property
    def opset(self) -> int:
        """Of ONNX's own operators; 0 when it is not told."""
        return max((entry.version for entry in self.model.opset_import if entry.domain in _STANDARD), default=0)

    @property
    def operators(self) -> dict[str, int]:
        """How often each operator is there, those of other domains with it: ``com.microsoft:QLinearAdd``."""
        return dict(sorted(Counter(operator_name(node) for node in all_nodes(self.model)).items()))


def with_card(model: Any, card: Mapping[str, Any], usage: str) -> bytes:
    """Return a checked model's bytes, with its card and lines of code that use it in its metadata."""
    for key, value in ((CARD_KEY, json.dumps(card, sort_keys=True)), ("usage", usage)):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def operator_name(node: Any) -> str:
    """Return an operator's name, with its domain when that is not ONNX's."""
    return node.op_type if node.domain in _STANDARD else f"{node.domain}:{node.op_type}"


def all_nodes(model: Any) -> Iterator[Any]:
    """Yield all nodes, those of inner graphs and functions too.

    Raises:
        ValueError: when there are too many, or graphs are nested too deep.
    """
    yield from _nodes_within([(model.graph.node, 0), *((function.node, 1) for function in model.functions)])


def _nodes_within(waiting: list[tuple[Any, int]]) -> Iterator[Any]:
    """Yield the nodes of lists of nodes, of which each has a depth, and those of their inner graphs."""
    count = 0
    while waiting:
        nodes, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"has graphs nested deeper than {_DEEPEST}")
        for node in nodes:
            count += 1
            if count > _MOST_NODES:
                raise ValueError(f"has more than {_MOST_NODES} operators")
            yield node
            for attribute in node.attribute:
                inner = [attribute.g, *attribute.graphs] if attribute.HasField("g") else list(attribute.graphs)
                waiting += [(graph.node, depth + 1) for graph in inner]


def _check_functions(model: Any) -> None:
    """Refuse functions that, put in place of the operators that call them, are too many operators.

    Each may call the next one ten times: ONNX Runtime would write that out. It ignores what is never called.
    """
    sizes: Counter[tuple[str, str]] = Counter()
    calls: dict[tuple[str, str], list[tuple[str, str]]] = {
        (function.domain, function.name): [] for function in model.functions
    }
    for function in model.functions:
        for node in _nodes_within([(function.node, 1)]):
            sizes[function.domain, function.name] += 1
            if (node.domain, node.op_type) in calls:
                calls[function.domain, function.name].append((node.domain, node.op_type))
    try:
        for name in graphlib.TopologicalSorter(calls).static_order():
            sizes[name] += sum(sizes[called] for called in calls[name])
    except graphlib.CycleError:
        raise ValueError("has a function that calls itself") from None
    whole = sum(1 + sizes[node.domain, node.op_type] for node in _nodes_within([(model.graph.node, 0)]))
    if whole > _MOST_NODES:
        raise ValueError(f"has more than {_MOST_NODES} operators, once its functions are written out")


def _tensors(model: Any) -> Iterator[Any]:
    """Yield all tensors."""
    yield from _of_graph(model.graph)
    for node in all_nodes(model):
        for attribute in node.attribute:
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from attribute.tensors
            yield from _of_sparse([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
            yield from _of_sparse(attribute.sparse_tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from _of_graph(graph)


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from _of_sparse(graph.sparse_initializer)


def _of_sparse(tensors: Any) -> Iterator[Any]:
    yield from (part for sparse in tensors for part in (sparse.values, sparse.indices))
