from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.unit.boards.profiling.made_profiles import artifact, profile
from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tests.unit.edge.live_page.chromium import Chromium, chromium_path
from tinydet.boards.report.markdown import markdown_table
from tinydet.boards.report.page import report_html
from tinydet.boards.report.pictures import best_and_worst
from tinydet.boards.report.summary import figures, protocol_lines
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detections import Detections


def warm_board() -> dict[str, Any]:
    content = copy.deepcopy(profile(artifact("fp32.onnx"), artifact("a <b>.onnx", infer_ms=4, ap=0.29)))
    for index, sample in enumerate(content["timeline"]):
        sample |= {"temperature_c": 50.0 + index, "clock_mhz": 1500.0 - 30 * index, "power_w": 6.0}
    content["throttling_events"] = [{"time_s": 4.0, "what": "throttled"}]
    return content


def test_everything_is_inline_and_escaped() -> None:
    page = report_html(warm_board())
    assert "http:" not in page and "https:" not in page and "<script" not in page
    assert "<b>" not in page and "a &lt;b&gt;.onnx" in page and "Board &lt;1&gt;" in page
    assert page.count('class="event"') == 1
    assert "Not available on this board" not in page


def test_missing_sensors_and_labels_are_noted() -> None:
    page = report_html(profile(artifact(ap=None)))
    assert "Not available on this board: temperature, CPU clock, power." in page
    assert "Speed only: the frames have no labels" in page


def test_differing_rounds_are_noted_and_do_not_change_the_ratio() -> None:
    busy = artifact("busy.onnx", infer_ms=20)
    for turn in busy["turns"][:3]:
        turn["infer_ms"] = [3 * value for value in turn["infer_ms"]]
    busy["stages"]["infer"] |= {"p50_ms": 60.0}
    content = profile(artifact("quiet.onnx", infer_ms=40, seed=1), busy)
    (line,) = [line for line in protocol_lines(content) if line.startswith("rounds differ")]
    assert "busy.onnx 18" in line and " and 6" in line and "quiet.onnx" not in line
    (ratios,) = [texts for name, texts, _ in figures(content) if "ratio" in name]
    assert ratios[0] == "1.00" and 0.47 < float(ratios[1]) < 0.53


@pytest.mark.skipif(chromium_path() is None, reason="no chromium here")
def test_the_page_in_a_browser_without_network(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_html(warm_board()), encoding="utf-8")
    with Chromium(1280, 900) as browser:
        browser.call("Network.enable")
        browser.call("Log.enable")
        browser.call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        browser.open(path.as_uri())
        browser.until("document.readyState === 'complete' && document.title.startsWith('tinydet on')")
        assert browser.value("performance.getEntriesByType('resource').length") == 0
        for width in (1280, 390):
            browser.resize(width, 900)
            sizes = browser.value(
                "[...document.querySelectorAll('svg')].map(plot => plot.getBoundingClientRect().width)"
            )
            assert len(sizes) == 4 and min(sizes) > 250
            assert browser.value("document.documentElement.scrollWidth") <= width
        assert browser.console == []


def test_the_verdict_comes_first() -> None:
    page = report_html(warm_board())
    assert "Fastest: a &lt;b&gt;.onnx, 250.0 frames per second. Best AP: fp32.onnx, 0.300." in page
    assert "Fastest: a.onnx, 100.0 frames per second.</p>" in report_html(profile(artifact(ap=None)))


def test_an_incomplete_profile_says_so() -> None:
    assert "incomplete: the measurement broke off; turns done, of 5: a.onnx 5" in report_html(
        profile(artifact()) | {"complete": False}
    )


def test_markdown() -> None:
    head, rule, row = markdown_table(profile(artifact(power_w=6.25))).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["APvt"] == "0.300" and cells["W"] == "6.25" and cells["max °C"] == "-"
    assert cells["infer, ms p50 / p95"] == "10.00 / 10.00"


def test_the_best_and_the_worst_frame(tmp_path: Path) -> None:
    content = coco(annotations=[annotation(), annotation(id=2, image_id=20)])
    dataset = read_dataset(write_coco(tmp_path, content))
    record = dataset.images[0]
    hit = Detections(boxes_xyxy_px=record.boxes_xyxy_px, scores=np.ones(1, np.float32), class_ids=record.class_ids)
    weak = Detections(boxes_xyxy_px=hit.boxes_xyxy_px, scores=hit.scores * 0.1, class_ids=hit.class_ids)
    best, worst = best_and_worst(dataset, [hit, weak], score_threshold=0.5)
    assert (best.title, best.caption) == ("best: a.png", "F1 1.00: 1 found, 0 missed, 0 false alarms")
    assert (worst.title, worst.caption) == ("worst: b.png", "F1 0.00: 0 found, 1 missed, 0 false alarms")
    jpeg = np.frombuffer(base64.b64decode(worst.jpeg_base64), np.uint8)
    image_bgr = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert np.asarray(image_bgr).shape == (48, 64, 3)
