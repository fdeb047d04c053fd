"""Every command that fills a folder is refused while another run writes into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinydet.edge.commands.cli import main
from tinydet.edge.files.folder_lock import locked_folder

#: Command line -> folder that it locks.
COMMANDS = {
    "quantize {checkpoint} --calibration {dataset} --out out": "out",
    "export {checkpoint} --out out": "out",
    "ablate ablation --data {dataset} --set data.classes=[\"person\"] --set data.ignore=[] --out out": "out",
    "data render --images 1 --size 64 --out out": "out/val",
    "data render --clip 1 --size 64 --out out": "out/val",
    "data convert {dataset} --out out": ".out.tinydet.partial",
    "demo --out out": "out/scenes",
}  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_the_second_run_writes_nothing(
    line: str,
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with locked_folder(COMMANDS[line]):
        assert main(line.format(checkpoint=checkpoint, dataset=dataset).split()) == 2
    assert "error: another run writes into out" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
