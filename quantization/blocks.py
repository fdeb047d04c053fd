"""Blocks of a network by the names people know them by: `stem`, `stages.3`, `laterals.0`, `cem`, `fbsm.0`, `heads.0`.

`merge` is the arithmetic of the top-down path: upsampling and sums between the other blocks of the neck.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch.fx import GraphModule, Node

from tinydet.edge.errors import InputError

CONTAINERS = ("backbone", "neck")
NAMES = {"gates": "fbsm"}
MERGE = "merge"


def block_of(node: Node) -> str | None:
    """Name of the block that `node` of a captured graph belongs to; None for inputs, outputs and stored tensors."""
    stack = node.meta.get("nn_module_stack")
    if node.op != "call_function" or not stack:
        return None
    path, _ = list(stack.values())[-1]
    parts = [part for part in path.removeprefix("network").split(".") if part]
    if parts and parts[0] in CONTAINERS:
        parts = parts[1:]
    if not parts:
        return MERGE
    name = NAMES.get(parts[0], parts[0])
    return f"{name}.{parts[1]}" if len(parts) > 1 and parts[1].isdigit() else name


def block_names(graph: GraphModule) -> list[str]:
    """Names of the blocks of a captured graph, in execution order."""
    return list(dict.fromkeys(name for node in graph.graph.nodes if (name := block_of(node)) is not None))


def select_blocks(known: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Select blocks by name, in the order of `known`: `fbsm.0` is one block, `fbsm` is every `fbsm.N`.

    Raises `InputError` for a name that matches no block.
    """
    for name in names:
        if not any(_matches(name, block) for block in known):
            raise InputError(f"no block is called {name!r}: the network has {', '.join(known)}")
    return tuple(block for block in known if any(_matches(name, block) for name in names))


def _matches(name: str, block: str) -> bool:
    return block == name or block.startswith(f"{name}.")
