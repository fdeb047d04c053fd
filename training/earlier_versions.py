"""Settings in files of earlier versions, in today's terms."""

from __future__ import annotations

from typing import Any


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Replace settings of earlier versions in a recipe, or in the metadata of a checkpoint or training state.

    `model.fbsm`: true is now "gate", false "off". `loss.dcloss`: true is now `balance = "band"`, false `balance =
    "none"`. Anything else is left as it is.
    """
    model, loss = content.get("model"), content.get("loss")
    if isinstance(model, dict) and type(model.get("fbsm")) is bool:
        content = {**content, "model": {**model, "fbsm": "gate" if model["fbsm"] else "off"}}
    if isinstance(loss, dict) and type(loss.get("dcloss")) is bool and "balance" not in loss:
        others = {name: value for name, value in loss.items() if name != "dcloss"}
        content = {**content, "loss": {**others, "balance": "band" if loss["dcloss"] else "none"}}
    return content
