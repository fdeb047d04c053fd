"""`tinydet demo`: render, calibrate, export, detect, score and time, by the commands a user would type."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command

TRAIN_SEED, TEST_SEED, CLIP_SEED = 9001, 9002, 9003  # scenes that the bundled weights were not trained on


def demo_steps(folder: Path) -> list[tuple[str, list[str]]]:
    """Title and arguments of `tinydet` for each step of the demo in `folder`."""
    scenes, clip = folder / "scenes", folder / "clip"
    fp32, int8 = folder / "n-640px-fp32.onnx", folder / "n-640px-int8.onnx"
    render = ["data", "render", "--margin", 1, "--out"]  # boxes as in photographs, which the weights learned from
    export = ["export", "n", "--precision"]
    steps: list[tuple[str, list[object]]] = [
        ("Draw scenes to calibrate on", [*render, scenes, "--split", "train", "--images", 32, "--seed", TRAIN_SEED]),
        ("Draw scenes to test on", [*render, scenes, "--split", "val", "--images", 32, "--seed", TEST_SEED]),
        ("Draw a clip from a moving drone", [*render, clip, "--clip", 60, "--seed", CLIP_SEED]),
        ("Export the bundled detector, 32-bit float", [*export, "fp32", "--out", folder]),
        ("Calibrate and export it as INT8", [*export, "int8", "--calibration", scenes, "--out", folder]),
        (
            "Detect in the clip",
            ["detect", int8, clip / "clip.mp4", "--save", folder / "detections", "--jsonl", folder / "clip.jsonl"],
        ),
        ("Detect in the test scenes", ["detect", int8, scenes / "val", "--save", folder / "pictures"]),
        (
            "Score and time both artifacts",
            ["profile", fp32, int8, "--data", scenes, "--seconds", 10, "--json", folder / "profile.json"],
        ),
    ]
    return [(title, [str(argument) for argument in arguments]) for title, arguments in steps]


def _add_arguments(parser: ArgumentParser) -> None:
    out = "folder for all outputs (default: runs/demo)"
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR", help=out)


def _run(arguments: Namespace) -> int:
    from tinydet.edge.commands.cli import main
    from tinydet.edge.files.folder_lock import locked_folder

    console = terminal.console()
    steps = demo_steps(arguments.out)
    with locked_folder(arguments.out / "scenes", out=arguments.out):  # the steps lock other folders, each for itself
        for number, (title, step) in enumerate(steps, start=1):
            console.rule(f"[bold]{number}/{len(steps)}  {title}", align="left")
            terminal.say(f"$ tinydet {shlex.join(step)}")
            exit_code = main(step)
            if exit_code:
                return exit_code
    console.rule("[bold]Done", align="left")
    terminal.say(f"Look at {arguments.out}/pictures and {arguments.out}/detections. Next, on data of your own:")
    for line in ("evaluate n YOUR-DATASET", "train aerial-vehicles --data YOUR-DATASET"):
        terminal.say(f"  tinydet {line}")
    return 0


COMMAND = Command(
    name="demo",
    help="run the whole chain on rendered scenes: calibrate, export, detect, score, time",
    example="tinydet demo --out runs/demo",
    add_arguments=_add_arguments,
    run=_run,
)
