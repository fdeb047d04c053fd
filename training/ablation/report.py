"""Report of an ablation: a Markdown page and a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tinydet.edge.files.writing import atomic_path, write_text
from tinydet.training.ablation.runs import Ablation, Cost
from tinydet.training.ablation.variants import COMPARISONS

METRICS = ("AP", "AP50", "AP75", "APvt", "APt", "APs")
READING = "## Reading"  # the page from this heading on is written by hand and kept


def write_report(path: Path, ablation: Ablation, costs: Mapping[str, Cost], *, command: str) -> None:
    """Write the page at `path` and the figure beside it as PNG; text under `## Reading` is kept."""
    figure = path.with_suffix(".png")
    write_figure(figure, ablation, costs)
    kept = ""
    if path.exists():
        _, heading, text = path.read_text(encoding="utf-8").partition(READING)
        kept = f"\n{heading}{text.rstrip()}\n" if heading else ""
    write_text(path, _page(ablation, costs, command=command, figure=figure.name) + kept)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of the mean (sample standard deviation / sqrt(n); NaN for one value)."""
    spread = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.fmean(values), spread


def gains(with_it: Sequence[float | None], without: Sequence[float | None]) -> list[float]:
    """Differences seed by seed, where both have a value: with one seed, both saw the same crops in the same order."""
    return [a - b for a, b in zip(with_it, without, strict=True) if a is not None and b is not None]


def _page(ablation: Ablation, costs: Mapping[str, Cost], *, command: str, figure: str) -> str:
    recipe = ablation.recipe
    seeds = len({run.seed for run in ablation.runs})
    schedule = recipe.schedule
    measured = f"validated at {recipe.data.input_px} px after the last step on `{recipe.data.val}`"
    if ablation.split != "val":
        measured = (
            f"measured at {recipe.data.input_px} px on the split {ablation.split} of `{recipe.data.val}` after the "
            f"epoch (of {schedule.epochs}) that is best on val"
        )
    lines = [
        "# Ablation: gain of each part",
        "",
        f"Made by `{command}`: {seeds} seeds, every run {schedule.total_steps} steps of {schedule.batch} crops of "
        f"{recipe.data.crop_px} px from {' and '.join(f'`{folder}`' for folder in recipe.data.train)}, {measured}.",
        "AP in points, mean ± standard error over seeds. INT8 latency: median of one inference in ONNX Runtime on the "
        "CPU of the machine that ran the command, all variants interleaved; x: relative to the first row.",
        "",
        f"![AP of every variant, and AP against latency]({figure})",
        "",
        "| detector | " + " | ".join(METRICS) + " | parameters, M | GMACs | INT8 ms | x |",
        "|---|" + "---|" * (len(METRICS) + 4),
    ]
    for variant in ablation.variants:
        cost = costs[variant.slug]
        cells = [_cell(_points(ablation.accuracy(variant, metric))) for metric in METRICS]
        cells += [f"{cost.parameters / 1e6:.2f}", f"{cost.macs / 1e9:.2f}", f"{cost.latency_ms:.1f}"]
        cells.append(f"{cost.latency_ms / costs[ablation.variants[0].slug].latency_ms:.2f}")
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Gain of each part: difference of two rows, seed by seed, in points; mean ± standard error.",
        "",
        "| part | without | with | " + " | ".join(METRICS) + " |",
        "|---|---|---|" + "---|" * len(METRICS),
    ]
    for part, with_it, without in COMPARISONS:
        if not {with_it, without} <= set(ablation.variants):
            continue
        cells = [
            _cell(_points(gains(ablation.accuracy(with_it, metric), ablation.accuracy(without, metric))), sign="+")
            for metric in METRICS
        ]
        lines.append(f"| {part} | {without.name} | {with_it.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def write_figure(path: Path, ablation: Ablation, costs: Mapping[str, Cost]) -> None:
    """Draw AP and APt of every variant with a dot per seed on the left, AP against INT8 latency on the right."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    bars, trade = figure.subplots(1, 2, width_ratios=(3, 2))
    for offset, metric, colour in ((-0.2, "AP", "tab:blue"), (0.2, "APt", "tab:orange")):
        for row, variant in enumerate(ablation.variants):
            values = _points(ablation.accuracy(variant, metric))
            if values:
                bars.barh(
                    row + offset,
                    statistics.fmean(values),
                    height=0.38,
                    color=colour,
                    alpha=0.6,
                    label=metric if row == 0 else None,
                )
                bars.plot(values, [row + offset] * len(values), ".", color="black", markersize=5)
    bars.set_yticks(range(len(ablation.variants)), [variant.name for variant in ablation.variants])
    bars.invert_yaxis()
    lowest = min(
        (min(values) for v in ablation.variants if (values := _points(ablation.accuracy(v, "AP")))), default=0.0
    )
    bars.set(title="Accuracy: one dot per seed", xlabel="AP, points", xlim=(max(0.0, lowest - 10), None))
    bars.legend(frameon=False, loc="lower right")
    for variant in ablation.variants:
        ap, spread = mean_and_spread(_points(ablation.accuracy(variant, "AP")))
        latency_ms = costs[variant.slug].latency_ms
        trade.errorbar(latency_ms, ap, yerr=None if math.isnan(spread) else spread, fmt="o", color="tab:blue")
        trade.annotate(variant.slug, (latency_ms, ap), textcoords="offset points", xytext=(6, 4))
    trade.set(title="Accuracy and cost", xlabel="INT8 inference, ms", ylabel="AP, points")
    trade.margins(x=0.2, y=0.15)
    for axes in (bars, trade):
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _points(shares: Sequence[float | None]) -> list[float]:
    return [100 * share for share in shares if share is not None]


def _cell(points: Sequence[float], *, sign: str = "") -> str:
    if not points:
        return "-"
    mean, spread = mean_and_spread(points)
    return f"{mean:{sign}.1f}" + ("" if math.isnan(spread) else f" ± {spread:.1f}")
