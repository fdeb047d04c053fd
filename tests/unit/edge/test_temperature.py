from __future__ import annotations

from pathlib import Path

from tinydet.edge.temperature import warmest_c, zones_c


def zone(root: Path, number: int, kind: str, value: str | None) -> None:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    if value is not None:
        (folder / "temp").write_text(f"{value}\n")


def test_millidegrees_of_every_zone_that_says_something(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", "48312")
    zone(tmp_path, 1, "gpu-thermal", "51500")
    zone(tmp_path, 2, "cpu-thermal", "49000")
    zone(tmp_path, 3, "off", "0")
    zone(tmp_path, 4, "broken", "-256000")
    zone(tmp_path, 5, "garbage", "n/a")
    zone(tmp_path, 6, "gone", None)
    silent = dict.fromkeys(("off", "broken", "garbage", "gone"))
    assert zones_c(tmp_path) == {"cpu-thermal": 49.0, "gpu-thermal": 51.5, **silent}
    assert warmest_c(tmp_path) == 51.5


def test_without_a_sensor_nothing_is_said(tmp_path: Path) -> None:
    assert warmest_c(tmp_path) is None
