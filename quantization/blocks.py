"""The blocks of a network by the names people know: `stem`, `stages.3`, `laterals.0`, `cem`, `fbsm.0`, `heads.0`.

`merge` is the top-down path's own arithmetic: upsampling and sums between the other blocks of the neck.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch.fx import GraphModule, Node

from tinydet.edge.errors import InputError

CONTAINERS = ("backbone", "neck")
NAMES = {"gates": "fbsm"}
MERGE = "merge"


def block_of(node: Node) -> str | None:
    """Name of the block whose forward made `node` of a captured graph; None for inputs, outputs and stored tensors."""
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


def blocks(graph: GraphModule) -> list[str]:
    """The blocks of a captured graph, in the order in which they compute."""
    return list(dict.fromkeys(name for node in graph.graph.nodes if (name := block_of(node)) is not None))


def choose_blocks(known: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The blocks that `names` mean, in the network's order: `fbsm.0` is one, `fbsm` all that start so.

    Raises `InputError` for a name that means none.
    """
    for name in names:
        if not any(_means(name, block) for block in known):
            raise InputError(f"no block is called {name!r}: the network has {', '.join(known)}")
    return tuple(block for block in known if any(_means(name, block) for name in names))


def _means(name: str, block: str) -> bool:
    return block == name or block.startswith(f"{name}.")
