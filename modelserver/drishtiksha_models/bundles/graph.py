"""A look at an ONNX file before anything of it runs: no data outside of it, no operators but the standard ones, one input.

What passes here is given to ONNX Runtime as bytes by `network`, so that nothing in it can name a file of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .manifest import GRAPH, BadBundle

_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Domains of operators: ONNX's own, and those that ONNX Runtime itself brings."""
_DEEPEST = 32
"""Graphs within graphs (branches and loops)."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: its name, numpy's name of its type, and its sizes; None where any size will do."""

    name: str
    dtype: str
    sizes: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """What a network takes and gives, and the operator that makes its first output ('' when that cannot be told)."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    last: str


def look(data: bytes) -> Graph:
    """The ports of the network in these bytes. Raises BadBundle when it is none, or asks for what a bundle may not have."""
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise BadBundle(f"{GRAPH}: is no ONNX file, or is cut off; export it again.") from None
    if not model.graph.node or not model.graph.output:
        raise BadBundle(f"{GRAPH}: holds no network; export it again.")
    graphs = [*_graphs(model.graph, 0), *model.functions]
    for graph in graphs:
        for node in graph.node:
            if node.domain not in _STANDARD and not _is_function(model, node):
                raise BadBundle(
                    f"{GRAPH}: the operator {node.domain}.{node.op_type} is not a standard one and would need code; "
                    "export with standard operators, or write a plug-in."
                )
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(graph)):
            raise BadBundle(
                f"{GRAPH}: keeps weights in another file; export it as one file (onnx.save without external data)."
            )
    weights = {tensor.name for tensor in model.graph.initializer}
    taken = tuple(_port(value) for value in model.graph.input if value.name not in weights)
    given = tuple(_port(value) for value in model.graph.output)
    first = given[0].name
    last = next((node.op_type for node in model.graph.node if first in node.output), "")
    return Graph(taken, given, last)


def _graphs(graph: Any, depth: int) -> Iterator[Any]:
    """A graph and all that lie in attributes of its nodes."""
    if depth > _DEEPEST:
        raise BadBundle(f"{GRAPH}: has graphs within graphs more than {_DEEPEST} deep.")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g, depth + 1)
            for inner in attribute.graphs:
                yield from _graphs(inner, depth + 1)


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants of one graph or function."""
    if hasattr(graph, "initializer"):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _is_function(model: Any, node: Any) -> bool:
    """A function that the file itself defines of other operators."""
    return any(f.name == node.op_type and f.domain == node.domain for f in model.functions)


def _port(value: Any) -> Port:
    import onnx

    tensor = value.type.tensor_type
    if not tensor.elem_type:
        raise BadBundle(f"{GRAPH}: {value.name!r} is no tensor.")
    sizes = tuple(
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None for size in tensor.shape.dim
    )
    return Port(value.name, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, sizes)
