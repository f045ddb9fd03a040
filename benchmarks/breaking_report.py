"""Record, plot and page of :mod:`benchmarks.breaking`: figures in, files out."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from parity.checks import breaking as probes
from parity.report.markdown import insert, table
from parity.report.recorded import keep
from parity.weights.outputs import replace_file

Curves = Mapping[tuple[str, int, str], Sequence[tuple[Sequence[float], bool]]]
PAGE = Path("docs", "where-the-original-breaks.md")
PLOT = Path("docs", "breaking.png")
COMMAND = "python -m benchmarks.breaking"
TITLE = "Training PCEN with linear and with logarithmic parameters"
NOTE = (
    "Linear: the original's PCEN (og_leaf), delta free to go below 0. Log: leaf.PCEN(learn_logs=True). One sentence "
    "at changing levels with silence between, a piece drawn a step; a run ends at its first NaN or infinity, and the "
    "column 'because' says which parameter had left its domain."
)
CODE = ("og_leaf/postprocessing.py", "leaf/pcen.py", "leaf/_runtime/scan.py", "benchmarks/breaking.py")
COLOURS = {1: "#0072b2", 10: "#e69f00", 40: "#d55e00"}
FORMS = {"linear": "linear parameters (original)", "log": "logarithms (leaf, learn_logs=True)"}


def write(root: Path, rows: Sequence[Mapping[str, Any]], curves: Curves) -> None:
    """Write ``benchmarks/results/breaking.json``, the plot and the page's tables below ``root``.

    Args:
        root: the repository.
        rows: of the record, see :func:`benchmarks.breaking.row`.
        curves: by task, seconds a step and form, each run's smallest delta over steps and whether it ended in NaN.
    """
    keep("breaking", rows, title=TITLE, note=NOTE, command=COMMAND, sources=CODE, root=root)
    replace_file(root / PLOT, plot(curves))
    page = (root / PAGE).read_text(encoding="utf-8")
    page = insert(insert(page, "routes", routes()), "training", training(rows))
    replace_file(root / PAGE, page.encode())


def plot(curves: Curves) -> bytes:
    """PNG: smallest delta over steps, a row a task and a column a form; a cross where a run ended in NaN."""
    tasks = list(dict.fromkeys(task for task, _, _ in curves))
    figure = Figure(figsize=(8.5, 5.2), layout="constrained")
    panels = figure.subplots(len(tasks), len(FORMS), sharex=True, sharey=True, squeeze=False)
    for (task, seconds, form), runs in curves.items():
        axes = panels[tasks.index(task)][list(FORMS).index(form)]
        for i, (delta, ended) in enumerate(runs):
            label = f"{seconds} s of audio a step" if i == 0 else None
            axes.plot(delta, color=COLOURS[seconds], linewidth=1.1, label=label)
            if ended:
                axes.plot(len(delta) - 1, delta[-1], "x", color=COLOURS[seconds], markersize=9, markeredgewidth=2)
    for i, task in enumerate(tasks):
        panels[i][0].set_ylabel(f"task: {task}\nsmallest delta of 40 bands")
    for j, title in enumerate(FORMS.values()):
        panels[0][j].set_title(title, fontsize=10)
        panels[-1][j].set_xlabel("step (Adam, learning rate 0.01)")
    for axes in panels.ravel():
        axes.axhline(0, color="#111111", linewidth=0.8, linestyle=":")
    panels[0][0].plot([], [], "x", color="#111111", markersize=7, markeredgewidth=2, label="NaN")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()


def routes() -> str:
    """Markdown: what each route does, measured now, in every rung that can be imported."""
    kinds = [k for k in probes.KINDS if k != "tf_leaf" or importlib.util.find_spec("tensorflow")]
    head = ("route", *(f"`{kind}`" for kind in kinds))
    lines: list[tuple[str, ...]] = []
    lines.append(("SGD on delta alone, from 2, towards louder features, 100 steps", *map(_descent, kinds)))
    lines.append(("gradient to delta (`leaf`: to its logarithm), at delta = 1e-12", *(_steep(k, 1e-12) for k in kinds)))
    lines.append(("the same at delta = 0", *("not held" if k == "leaf" else _steep(k, 0.0) for k in kinds)))
    lines.append(("one infinite frame of 16", *(_lost(probes.with_infinity(k)) for k in kinds)))
    lines.append(("silence, floor or eps 0", *(_lost(probes.over_silence(k, 0.0)) for k in kinds)))
    clamped = [_lost(probes.over_silence(k, 0.0, 1e-5)) if k.startswith("leaf") else "has none" for k in kinds]
    lines.append(("the same with the layer's own `clamp=1e-5`", *clamped))
    lines.append(("silence, floor or eps 1e-12", *(_lost(probes.over_silence(k, 1e-12)) for k in kinds)))
    return table(head, lines)


def training(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a line a setting, both forms beside each other."""
    setting = ("task", "optimiser", "loss", "learned", "audio a step", "steps")
    head = ("task", "optimiser", "loss", "learned", "audio a step", "steps", "linear", "logarithms")
    cells: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in rows:
        cells.setdefault(tuple(row[k] for k in setting), {})[row["parameters"]] = _ended(row)
    body = [(*map(str, key), cell["linear"], cell.get("log", "")) for key, cell in cells.items()]
    return table(head, body)


def _ended(row: Mapping[str, Any]) -> str:
    if not row["ended in NaN"]:
        return f"none of {row['runs']}; delta >= {row['least delta']:.2g}"
    return f"**{row['ended in NaN']} of {row['runs']}**, step {row['NaN at step']}: {row['because']}"


def _descent(kind: str) -> str:
    delta, outcome = probes.through_zero(probes.layer(kind))
    return f"delta {delta:.2g}: {_lost(outcome)}"


def _steep(kind: str, delta: float) -> str:
    return f"{probes.at_delta(kind, delta):.2g}"


def _lost(outcome: probes.TrialOutcome) -> str:
    if not outcome.broken:
        return "finite"
    gradients = sum(not np.isfinite(g).all() for g in outcome.gradients.values())
    return f"NaN in {outcome.nan:.0%} of the output, {gradients} of {len(outcome.gradients)} gradients"
