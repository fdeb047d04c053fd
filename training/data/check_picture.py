"""Draw a data set's check: object sizes, objects by class, example images."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tinydet.edge.datasets.dataset import ImageRecord, read_record
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import BAND_NAMES, BANDS_PX
from tinydet.edge.files.printable import printable
from tinydet.edge.files.writing import atomic_path
from tinydet.training.data.check_dataset import Report, objects_by_class

EXAMPLES = 4
SMALLEST_PX, LARGEST_PX = 2.0, 512.0
CLASS_COLOURS = 10


@rc_context({"text.parse_math": False})  # a `$` in a name is no formula
def write_picture(path: Path, report: Report) -> None:
    """Draw the report and write it as PNG."""
    figure = Figure(figsize=(15, 7.5), layout="constrained")
    grid = figure.add_gridspec(2, EXAMPLES, height_ratios=(4, 3))
    sizes = figure.add_subplot(grid[0, : EXAMPLES // 2])
    edges = np.geomspace(SMALLEST_PX, LARGEST_PX, 49)
    for name, values in report.sizes_px.items():
        sizes.hist(np.clip(values, SMALLEST_PX, LARGEST_PX), bins=edges.tolist(), alpha=0.6, label=f"split {name}")
    sizes.set_xscale("log", base=2)
    ticks = [2, 4, 8, 16, 32, 64, 128, 256, 512]
    sizes.set_xticks(ticks, [str(tick) for tick in ticks])
    for (low, high), label in zip(BANDS_PX.values(), BAND_NAMES, strict=True):
        middle = np.sqrt(max(low, SMALLEST_PX) * min(high, LARGEST_PX))
        sizes.text(middle, 1.01, label, transform=sizes.get_xaxis_transform(), ha="center", fontsize="small")
        if low:
            sizes.axvline(low, color="black", linewidth=0.8, linestyle=":")
    sizes.set(xlabel="square root of the box area, pixels", ylabel="objects")
    sizes.legend(frameon=False)

    classes = figure.add_subplot(grid[0, EXAMPLES // 2 :])
    names = list(dict.fromkeys(name for dataset in report.splits.values() for name in dataset.class_names))
    height = 0.8 / len(report.splits)
    for number, (split, dataset) in enumerate(report.splits.items()):
        counts = objects_by_class(dataset)
        bars = classes.barh(
            np.arange(len(names)) + number * height, [counts.get(n, 0) for n in names], height=height, label=split
        )
        classes.bar_label(bars, fontsize="small", padding=2)
    labels = [_drawable(name) or f"class {number}" for number, name in enumerate(names)]
    classes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, labels)
    classes.invert_yaxis()
    classes.set(title="Objects by class")
    classes.margins(x=0.15)

    for column, (record, image_rgb) in enumerate(_examples(report)):
        axes = figure.add_subplot(grid[1, column])
        axes.imshow(image_rgb)
        for box, class_id in zip(record.boxes_xyxy_px.tolist(), record.class_ids.tolist(), strict=True):
            x1, y1, x2, y2 = box
            colour = f"C{class_id % CLASS_COLOURS}"
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=0.8))
        for x1, y1, x2, y2 in record.ignored_xyxy_px.tolist():
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, color="white", alpha=0.35, hatch="//"))
        axes.set_title(_drawable(record.path.name) or f"image {record.image_id}", fontsize="small")
        axes.set_axis_off()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)


def _drawable(text: str) -> str | None:
    """`text`, printable; None if the font lacks one of its characters."""
    text = printable(text)
    font = get_font(findfont(FontProperties()))
    return text if all(font.get_char_index(ord(character)) for character in text) else None


def _examples(report: Report) -> list[tuple[ImageRecord, NDArray[np.uint8]]]:
    """Readable images with objects, spread over the first split."""
    records = [record for record in next(iter(report.splits.values())).images if len(record.class_ids)]
    found: list[tuple[ImageRecord, NDArray[np.uint8]]] = []
    for record in records[:: max(1, len(records) // EXAMPLES)]:
        if len(found) < EXAMPLES:
            with suppress(InputError):
                found.append((record, read_record(record)))
    return found
