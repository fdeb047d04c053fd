"""The HTML report of a profile: one file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from tinydet.boards.profiling.profile_file import STAGES, average_precision, file_name, turn_times_ms
from tinydet.boards.report import plots
from tinydet.boards.report.pictures import Picture
from tinydet.boards.report.summary import figures, protocol_lines

TEMPLATE = Path(__file__).with_name("report.html")

MAX_RATE_POINTS = 200
"""Points of the frame rate's curve; each is a mean of neighbouring frames."""


def report_html(profile: Mapping[str, Any], pictures: Sequence[Picture] = (), pictured: str = "") -> str:
    """The page for `Profile.as_dict()`. `pictured`: the artifact whose detections the pictures show."""
    rows = profile["artifacts"]
    machine = profile["machine"]
    facts = [f"{machine['cores']} cores", machine["architecture"], machine["system"]]
    facts += [f"power mode {profile['power_mode']}"] if profile["power_mode"] else []
    names = [file_name(row) for row in rows]
    artifacts = _legend([(f"c{i % 6}", name) for i, name in enumerate(names)])
    cards = [
        _card("Cost and accuracy", f'<div class="scroll">{_table(profile, names)}</div>', wide=True),
        _card(
            "End-to-end latency",
            plots.latency_distribution(names, [np.concatenate(turn_times_ms(row)) for row in rows]),
            "Numbers and lines: median, 95th and 99th percentile. Heights are square roots of counts.",
        ),
        _card(
            "Time by stage",
            _legend([("pre", "letterbox"), ("infer", "inference"), ("post", "decoding and NMS")])
            + plots.stage_bars(names, [[row["stages"][stage]["p50_ms"] for stage in STAGES] for row in rows]),
        ),
        _card("Over time", artifacts + _timeline(profile)),
    ]
    dots = [
        plots.Dot(color=index, latency_ms=row["stages"]["total"]["p50_ms"], ap=ap)
        for index, row in enumerate(rows)
        if (ap := average_precision(row)) is not None
    ]
    if dots:
        cards.append(_card("AP against latency", artifacts + plots.ap_against_latency(dots)))
    else:
        cards.append(_card("AP against latency", "", "Speed only: the frames have no labels, so AP was not measured."))
    if pictures:
        images = "".join(
            f'<figure><img alt="{escape(picture.title)}" src="data:image/jpeg;base64,{picture.jpeg_base64}">'
            f"<figcaption>{escape(picture.title)}<span>{escape(picture.caption)}</span></figcaption></figure>"
            for picture in pictures
        )
        about = f"Detections of {pictured}; red circles mark missed objects. F1 at IoU 0.5, at its score threshold."
        cards.append(_card("Best and worst frames", f'<div class="pictures">{images}</div>', about, wide=True))
    lines = "".join(f"<li>{escape(line)}</li>" for line in protocol_lines(profile))
    cards.append(_card("Protocol", f"<ul>{lines}</ul>", wide=True))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"tinydet on {machine['name']}"),
        subtitle=escape(" · ".join(facts)),
        verdict=escape(_verdict(names, rows)),
        cards="\n".join(cards),
    )


def _verdict(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The fastest artifact and the most accurate one."""
    fps, fastest = max((row["frames_per_s"], name) for name, row in zip(names, rows, strict=True))
    verdict = f"Fastest: {fastest}, {fps:.1f} frames per second."
    scored = [(ap, name) for name, row in zip(names, rows, strict=True) if (ap := average_precision(row)) is not None]
    if scored:
        ap, best = max(scored)
        verdict += f" Best AP: {best}, {ap:.3f}."
    return verdict


def _table(profile: Mapping[str, Any], names: Sequence[str]) -> str:
    heads = "".join(f'<th><i class="swatch c{i % 6}"></i>{escape(name)}</th>' for i, name in enumerate(names))
    body, starts_group = "", False
    for name, texts, ends_group in figures(profile):
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        group = ' class="group"' if starts_group else ""
        body += f"<tr{group}><th>{escape(name)}</th>{cells}</tr>"
        starts_group = ends_group
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _timeline(profile: Mapping[str, Any]) -> str:
    turns = [
        (turn["start_s"], turn["end_s"], index, total_ms)
        for index, row in enumerate(profile["artifacts"])
        for turn, total_ms in zip(row["turns"], turn_times_ms(row), strict=True)
    ]
    times_s: list[float] = []
    rates: list[float | None] = []
    points = max(2, MAX_RATE_POINTS // len(turns))
    for start_s, end_s, _, total_ms in sorted(turns, key=lambda turn: turn[0]):
        frames_s = start_s + total_ms.cumsum() / 1e3
        for part in np.array_split(np.arange(len(total_ms)), min(points, len(total_ms))):
            times_s.append(float(frames_s[part].mean()))
            rates.append(float(1e3 / total_ms[part].mean()))
        times_s.append(end_s)
        rates.append(None)
    samples = profile["timeline"]
    unknown: list[str] = []
    curves = [plots.Curve(label="frames per second", color=0, times_s=times_s, values=rates)]
    for color, (label, key) in enumerate(
        (("temperature, °C", "temperature_c"), ("CPU clock, MHz", "clock_mhz"), ("power, W", "power_w")), 1
    ):
        values = [sample[key] for sample in samples]
        if any(value is not None for value in values):
            at_s = [sample["time_s"] for sample in samples]
            curves.append(plots.Curve(label=label, color=color, times_s=at_s, values=values))
        else:
            unknown.append(label.partition(",")[0])
    spans = [(start_s, end_s, index) for start_s, end_s, index, _ in turns]
    plot = plots.timeline(curves, spans, [event["time_s"] for event in profile["throttling_events"] or ()])
    return plot + (f'<p class="note">Not available on this board: {", ".join(unknown)}.</p>' if unknown else "")


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<span><i class="swatch {kind}"></i>{escape(name)}</span>' for kind, name in entries)
    return f'<div class="legend">{items}</div>'


def _card(title: str, body: str, about: str = "", *, wide: bool = False) -> str:
    note = f'<p class="note">{escape(about)}</p>' if about else ""
    return f'<section class="card{" wide" if wide else ""}"><h2>{escape(title)}</h2>{body}{note}</section>'
