"""The report of a profile: one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydet.boards.profiling.latency_statistics import time_ratio
from tinydet.boards.report import plots
from tinydet.boards.report.markdown import number
from tinydet.boards.report.pictures import Picture
from tinydet.edge.commands.terminal import metric_text
from tinydet.edge.evaluation.average_precision import METRIC_KEYS

TEMPLATE = Path(__file__).with_name("report.html")

_PERCENTILE_LINES = (("p50_ms", "p90_ms"), ("p95_ms", "p99_ms"))

ALIKE_WITHIN = 1.1
"""Medians of an artifact's rounds that differ more are told."""
FPS_POINTS = 200
"""Of the timeline at most; each a mean of neighbouring frames."""


def report_html(profile: Mapping[str, Any], pictures: Sequence[Picture] = (), pictured: str = "") -> str:
    """A page for `Profile.as_dict()`. `pictured`: the artifact that found what the pictures show."""
    rows = profile["artifacts"]
    machine = profile["machine"]
    facts = [f"{machine['cores']} cores", machine["architecture"], machine["system"]]
    facts += [f"power mode {profile['power_mode']}"] if profile["power_mode"] else []
    names = [Path(row["artifact"]).name for row in rows]
    artifacts = _legend([(f"c{i % 6}", name) for i, name in enumerate(names)])
    cards = [
        _card("What it costs and gives", f'<div class="scroll">{_table(profile, names)}</div>', wide=True),
        _card(
            "Latency of whole frames",
            plots.latency_distribution(names, [np.concatenate(_totals_ms(row)) for row in rows]),
            "Median / 95th / 99th percentile, and marked by lines. Heights are square roots of counts.",
        ),
        _card(
            "Where the time goes",
            _legend([("pre", "letterbox"), ("infer", "inference"), ("post", "decoding and NMS")])
            + plots.stage_bars(
                names, [[row["stages"][stage]["p50_ms"] for stage in ("pre", "infer", "post")] for row in rows]
            ),
        ),
        _card("Over time", artifacts + _timeline(profile)),
    ]
    measured = [(name, row) for name, row in zip(names, rows, strict=True) if _ap(row) is not None]
    if measured:
        dots = [
            plots.Dot(color=names.index(name), latency_ms=row["stages"]["total"]["p50_ms"], ap=row["accuracy"]["AP"])
            for name, row in measured
        ]
        cards.append(_card("AP against latency", artifacts + plots.ap_against_latency(dots)))
    else:
        cards.append(_card("AP against latency", "", "Speed only: the frames have no labels, so no AP was measured."))
    if pictures:
        figures = "".join(
            f'<figure><img alt="{escape(picture.title)}" src="data:image/jpeg;base64,{picture.jpeg_base64}">'
            f"<figcaption>{escape(picture.title)}<span>{escape(picture.caption)}</span></figcaption></figure>"
            for picture in pictures
        )
        about = f"Found by {pictured}; red circles are objects it missed. F1 at IoU 0.5, at the score it flies with."
        cards.append(_card("Best and worst frames", f'<div class="pictures">{figures}</div>', about, wide=True))
    lines = "".join(f"<li>{escape(line)}</li>" for line in protocol_lines(profile))
    cards.append(_card("How it was measured", f"<ul>{lines}</ul>", wide=True))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"tinydet on {machine['name']}"),
        subtitle=escape(" · ".join(facts)),
        verdict=escape(_verdict(names, rows)),
        cards="\n".join(cards),
    )


def _verdict(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """What one wants to know first."""
    fps, fastest = max((row["frames_per_s"], name) for name, row in zip(names, rows, strict=True))
    said = f"Fastest: {fastest}, {fps:.1f} frames a second."
    scored = [(ap, name) for name, row in zip(names, rows, strict=True) if (ap := _ap(row)) is not None]
    if scored:
        ap, best = max(scored)
        said += f" Best AP: {best}, {ap:.3f}."
    return said


def protocol_lines(profile: Mapping[str, Any]) -> list[str]:
    """How it was measured, for people."""
    machine, protocol, rows = profile["machine"], profile["protocol"], profile["artifacts"]
    runtimes = sorted({f"{row['runtime']} ({row['provider']})" for row in rows})
    seconds, rounds = f"{protocol['seconds_per_artifact']:g} s an artifact", protocol["rounds_interleaved"]
    turns = "one after the other, sustained" if protocol["sustained"] else f"in {rounds} rounds, taking turns"
    lines = [
        f"on {machine['name']}, {machine['cores']} cores, {machine['architecture']}, {machine['system']}; "
        + ", ".join(runtimes),
        f"frames: {protocol['frames']}; threads: {protocol['threads'] or 'as the runtime chooses'}, spinning off; "
        "batch 1",
        f"{seconds} {turns}, each turn a process of its own, one at a time; warm-up {protocol['warm_up']}",
        f"timed: {protocol['timed']}; load and first result: medians of the turns, files in the system's cache",
        "memory: resident, of the whole process; peak: of all turns the most",
    ]
    if not profile["complete"]:
        counts = ", ".join(f"{Path(row['artifact']).name} {len(row['turns'])}" for row in rows)
        lines.insert(0, f"incomplete: it broke off; turns until then, of {rounds}: {counts}")
    unsteady = [Path(row["artifact"]).name for row in rows if not row["steady"]]
    if unsteady:
        lines.append(f"not steady after the warm-up (a busy machine, or heat): {', '.join(unsteady)}")
    differing = [line for row in rows if (line := _differing_rounds(row))]
    if differing:
        lines.append(f"not alike (something else ran, or heat), infer p50 from round to round: {', '.join(differing)}")
    if profile["not_available"]:
        lines.append(f"not available on this board: {', '.join(profile['not_available'])}")
    return lines


def infer_rounds_ms(row: Mapping[str, Any]) -> list[npt.NDArray[np.float64]]:
    """Of an artifact, round by round: (N,) inference times."""
    return [np.array(turn["infer_ms"]) for turn in row["turns"]]


def _differing_rounds(row: Mapping[str, Any]) -> str:
    """Their range, or nothing where they are alike."""
    medians_ms = [float(np.median(values)) for values in infer_rounds_ms(row)]
    low, high = min(medians_ms), max(medians_ms)
    return f"{Path(row['artifact']).name} {_ms(low)} to {_ms(high)} ms" if high > ALIKE_WITHIN * low else ""


def summary_rows(profile: Mapping[str, Any]) -> list[tuple[str, list[str], bool]]:
    """Name of a figure, its text for each artifact, and whether a group of figures ends there."""
    artifacts = profile["artifacts"]
    rows: list[tuple[str, list[str], bool]] = []

    def add(name: str, texts: Sequence[str], *, last: bool = False) -> None:
        rows.append((name, list(texts), last))

    add("precision", [row["precision"] for row in artifacts])
    add("runtime", [row["runtime"].replace(" ", "\n") for row in artifacts])
    sizes = ["-" if row["size_bytes"] is None else f"{row['size_bytes'] / 1e6:.1f}" for row in artifacts]
    add("file, MB", sizes, last=True)
    if any(row["accuracy"] for row in artifacts):
        for key in METRIC_KEYS:
            texts = [metric_text((row["accuracy"] or {}).get(key)) for row in artifacts]
            add(key, texts, last=key == METRIC_KEYS[-1])
    for stage in ("pre", "infer", "post", "total"):
        stages = [row["stages"][stage] for row in artifacts]
        add(
            f"{stage}, ms p50 / p90\np95 / p99",
            ["\n".join(f"{_ms(s[a])} / {_ms(s[b])}" for a, b in _PERCENTILE_LINES) for s in stages],
        )
    if len(artifacts) > 1:
        first = infer_rounds_ms(artifacts[0])
        ratios = [time_ratio(first, infer_rounds_ms(row)) for row in artifacts]
        add("infer, ratio to the first\n(fastest rounds)", [f"{ratio:.2f}" for ratio in ratios])
    add("frames a second, end to end", [f"{row['frames_per_s']:.1f}" for row in artifacts])
    if profile["protocol"]["sustained"]:
        heat = [row["heat"] for row in artifacts]
        texts = [f"{h['first_frames_per_s']:.1f} -> {h['last_frames_per_s']:.1f}" for h in heat]
        add("frames a second, first -> last tenth", texts)
    add("objects a frame", [f"{row['objects_per_frame']:.1f}" for row in artifacts], last=True)
    add("load / first result, ms", [f"{row['load_ms']:.0f} / {row['first_result_ms']:.0f}" for row in artifacts])
    memory = [row["memory_mib"] for row in artifacts]
    add("memory, MiB steady / peak", [f"{number(m['steady'], 0)} / {number(m['peak'], 0)}" for m in memory])
    for name, key, digits in (
        ("power, W", "power_w", 2),
        ("energy, J a frame", "joules_per_frame", 3),
        ("warmest, °C", "max_temperature_c", 1),
        ("throttling events", "throttling_events", 0),
    ):
        values = [row["sensors"][key] for row in artifacts]
        texts = ["not available" if value is None else number(value, digits) for value in values]
        add(name, texts)
    return rows


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _table(profile: Mapping[str, Any], names: Sequence[str]) -> str:
    heads = "".join(f'<th><i class="swatch c{i % 6}"></i>{escape(name)}</th>' for i, name in enumerate(names))
    body, starts_group = "", False
    for name, texts, last in summary_rows(profile):
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        group = ' class="group"' if starts_group else ""
        body += f"<tr{group}><th>{escape(name)}</th>{cells}</tr>"
        starts_group = last
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _timeline(profile: Mapping[str, Any]) -> str:
    turns = [(index, turn) for index, row in enumerate(profile["artifacts"]) for turn in row["turns"]]
    turns.sort(key=lambda item: item[1]["start_s"])
    times_s: list[float] = []
    rates: list[float | None] = []
    points = max(2, FPS_POINTS // len(turns))
    for _, turn in turns:
        total_ms = np.sum([turn[f"{stage}_ms"] for stage in ("pre", "infer", "post")], axis=0)
        frames_s = turn["start_s"] + total_ms.cumsum() / 1e3
        for part in np.array_split(np.arange(len(total_ms)), min(points, len(total_ms))):
            times_s.append(float(frames_s[part].mean()))
            rates.append(float(1e3 / total_ms[part].mean()))
        times_s.append(turn["end_s"])
        rates.append(None)
    samples = profile["timeline"]
    unknown: list[str] = []
    curves = [plots.Curve(label="frames a second", color=0, times_s=times_s, values=rates)]
    for color, (label, key) in enumerate(
        (("temperature, °C", "temperature_c"), ("CPU clock, MHz", "clock_mhz"), ("power, W", "power_w")), 1
    ):
        values = [sample[key] for sample in samples]
        if any(value is not None for value in values):
            at_s = [sample["time_s"] for sample in samples]
            curves.append(plots.Curve(label=label, color=color, times_s=at_s, values=values))
        else:
            unknown.append(label.partition(",")[0])
    spans = [(turn["start_s"], turn["end_s"], index) for index, turn in turns]
    plot = plots.timeline(curves, spans, [event["time_s"] for event in profile["throttling_events"] or ()])
    return plot + (f'<p class="quiet">Not available on this board: {", ".join(unknown)}.</p>' if unknown else "")


def _totals_ms(row: Mapping[str, Any]) -> list[npt.NDArray[np.float64]]:
    return [np.sum([turn[f"{stage}_ms"] for stage in ("pre", "infer", "post")], axis=0) for turn in row["turns"]]


def _ap(row: Mapping[str, Any]) -> float | None:
    ap: float | None = None if row["accuracy"] is None else row["accuracy"]["AP"]
    return ap


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<span><i class="swatch {kind}"></i>{escape(name)}</span>' for kind, name in entries)
    return f'<div class="legend">{items}</div>'


def _card(title: str, body: str, about: str = "", *, wide: bool = False) -> str:
    note = f'<p class="quiet">{escape(about)}</p>' if about else ""
    return f'<section class="card{" wide" if wide else ""}"><h2>{escape(title)}</h2>{body}{note}</section>'
