"""``docs/after-training.md`` and its picture, from the recorded runs: ``python -m experiments.equivalence_page``."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy import stats

from experiments import not_finite
from experiments.equivalence import NAME, PLAN, REFERENCE, ROOT, Plan, Row
from experiments.further import COMPARISONS, Comparison
from experiments.statistics import LEVEL, NO, NOT_SHOWN, YES, Paired, paired, verdicts
from parity.report import recorded
from parity.report.markdown import insert, table
from parity.weights.outputs import replace_file

PAGE, PICTURE = Path("docs", "after-training.md"), Path("docs", "after-training.png")
CONTROL = "frozen centres"
MARGIN = 2.0  # percentage points of accuracy; stated before any run
CHANGES = {
    "og_leaf, analytic start": "filters start from a formula, not from a measured mel matrix",
    "og_leaf, two blocks": "real and imaginary filters in two blocks, not interleaved",
    "og_leaf, PCEN in one module": "PCEN in one module, with a clamp",
    "og_leaf, learned logs": "the same, learning logarithms of its parameters",
    "leaf, original's alignment": "all of `leaf` but its centred padding",
    "leaf": "all of `leaf`, as published",
    "leaf, learned logs": "all of `leaf`, learning logarithms of PCEN's parameters",
    "efficientleaf, tolerance 1e-3": "energies within a tolerance of 1e-3, PCEN",
    "efficientleaf": "strides by group, logarithm and temporal batch normalisation",
    "efficientleaf, 8G-opt": "the same in the faster setting 8G-opt",
    "mel": "no LEAF: a fixed mel spectrogram, logarithm",
    CONTROL: "control, a planted fault: every centre at one frequency, not learned",
}
COLOURS = {YES: "#0072b2", NOT_SHOWN: "#777777", NO: "#d55e00"}


def compared(rows: Sequence[Row], reference: str = REFERENCE, margin: float = MARGIN) -> list[tuple[str, Paired, str]]:
    """Every front end against the reference: name, test and verdict, over the seeds where both have an accuracy.

    A front end without a pair is not among them.
    """
    of = {(row["front end"], row["seed"]): row["accuracy, %"] for row in rows if row["accuracy, %"] is not None}
    names = dict.fromkeys(row["front end"] for row in rows if row["front end"] != reference)
    tests = {}
    for name in sorted(names, key=_place):
        seeds = sorted(seed for at, seed in of if at == name and (reference, seed) in of)
        if seeds:
            tests[name] = paired([of[name, seed] - of[reference, seed] for seed in seeds], margin)
    said = verdicts(list(tests.values()))
    return [(name, test, verdict) for (name, test), verdict in zip(tests.items(), said, strict=True)]


def differences(rows: Sequence[Row]) -> str:
    """Markdown: difference, interval, verdict, power, runs ended by NaN and seconds a run of every front end."""
    head = (
        "front end", "what is changed", "pairs", f"accuracy less `{REFERENCE}`'s, points", "90 % interval",
        f"equivalent within {MARGIN:g} points", "power", "ended by NaN", "CPU seconds a run",
    )  # fmt: skip
    lines = []
    for name, test, verdict in compared(rows):
        own = [row for row in rows if row["front end"] == name]
        interval = "" if test.n == 1 else f"{test.low:+.1f} to {test.high:+.1f}"
        lines.append((
            name, CHANGES.get(name, ""), f"{test.n}", f"{test.mean:+.1f}", interval, verdict, f"{test.power:.0%}",
            f"{sum(bool(row['ended by']) for row in own)} of {len(own)}",
            f"{sum(row['CPU seconds'] for row in own) / len(own):.0f}",
        ))  # fmt: skip
    return table(head, lines)


def accuracies(rows: Sequence[Row]) -> str:
    """Markdown: accuracy and loss on the test clips of every front end, with 90 % intervals of the mean over seeds."""
    lines = []
    for name in (REFERENCE, *CHANGES):
        own = [row for row in rows if row["front end"] == name and row["accuracy, %"] is not None]
        if own:
            accuracy, loss = ([row[column] for row in own] for column in ("accuracy, %", "loss"))
            lines.append((name, f"{len(own)}", _interval(accuracy, 1), _interval(loss, 2), f"{min(accuracy):.1f}",
                          f"{max(accuracy):.1f}"))  # fmt: skip
    return table(("front end", "runs", "accuracy, %", "loss", "least accuracy", "largest"), lines)


def answer(rows: Sequence[Row]) -> str:
    """Say in a few sentences what the comparison found."""
    found = compared(rows)
    lines = [f"{len(rows)} runs, {len({row['seed'] for row in rows})} seeds, margin {MARGIN:g} points."]
    for verdict, title in ((YES, "Equivalent"), (NOT_SHOWN, "Not shown"), (NO, "Not equivalent")):
        said = [f"`{name}` ({test.mean:+.1f})" for name, test, own in found if own == verdict and name != CONTROL]
        lines.append(f"{title}: {'; '.join(said) or 'none'}.")
    for name, test, own in (at for at in found if at[0] == CONTROL):
        lines.append(f'The control, {name}: "{own}" ({test.mean:+.1f}).')
        if own != NO:
            lines.append("The control is not found, so these runs may miss a difference that a fault makes.")
    return "\n".join(f"- {line}" for line in lines)


def ended(rows: Sequence[Row]) -> str:
    """Name the runs that ended by NaN, and where it came from."""
    found = [row for row in rows if row["ended by"]]
    lines = [f"- `{row['front end']}`, seed {row['seed']}: {row['ended by']}" for row in found]
    return "\n".join([f"Of the {len(rows)} runs above, {len(found)} ended by NaN.", *([""] if lines else []), *lines])


def plan(rows: Sequence[Row], of: Plan = PLAN) -> str:
    """Markdown: what was held fixed over all runs; of another plan than the main one, what is other in it.

    Raises ValueError where they are of another plan than ``of``.
    """
    if other := {row["plan"] for row in rows} - {of.digest}:
        raise ValueError(f"rows: must be of the plan {of.digest}, are of {', '.join(sorted(other))}")
    held, main = _flat(of), _flat(PLAN)
    shown = {name: value for name, value in held.items() if of == PLAN or value != main[name]}
    return table(("held fixed", "value"), [(f"`{name}`", str(value)) for name, value in shown.items()])


def seconds(record: recorded.Record) -> str:
    """Say in a sentence what the runs took, and where."""
    rows = record.rows
    busy = sum(row["CPU seconds"] for row in rows) / 3600
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    splits = ", ".join(sorted({row["split"][:12] for row in rows}))
    return (
        f"{busy:.1f} hours of one core, {record.machine['cpu']['model']}; code at {commits}; "
        f"SHA-256 of the split {splits}...; recorded {record.date[:10]}."
    )


def further(record: recorded.Record, made: Comparison) -> str:
    """Markdown of another comparison: its answer, differences, accuracies, what is other in its plan, and its time."""
    rows, n_seeds = record.rows, len({row["seed"] for row in record.rows})
    missing = f"\n- Of {made.seeds} planned seeds {n_seeds} have ended." if n_seeds < made.seeds else ""
    said = answer(rows) + missing
    return "\n\n".join((said, differences(rows), accuracies(rows), plan(rows, made.plan), seconds(record)))


def picture(rows: Sequence[Row]) -> bytes:
    """PNG: of every front end the differences by seed, their mean and 90 % interval, and the margin.

    Its description is the digest of the rows.
    """
    from matplotlib.figure import Figure

    found = compared(rows)
    figure = Figure(figsize=(9, 0.42 * len(found) + 1.6), layout="constrained")
    axes = figure.subplots()
    of = {(row["front end"], row["seed"]): row["accuracy, %"] for row in rows if row["accuracy, %"] is not None}
    axes.axvspan(-MARGIN, MARGIN, color="#009e73", alpha=0.15, label=f"margin, {MARGIN:g} points")
    axes.axvline(0, color="#111111", linewidth=0.8, linestyle=":")
    for at, (name, test, verdict) in enumerate(found):
        own = [value - of[REFERENCE, seed] for (n, seed), value in of.items() if n == name and (REFERENCE, seed) in of]
        axes.plot(own, [at] * len(own), ".", color="#bbbbbb", markersize=5)
        if test.n > 1:
            axes.plot([test.low, test.high], [at, at], color=COLOURS[verdict], linewidth=2.5)
        axes.plot(test.mean, at, "o", color=COLOURS[verdict], markersize=6)
    for verdict, colour in COLOURS.items():
        axes.plot([], [], "o-", color=colour, label=f"equivalent: {verdict}")
    axes.plot([], [], ".", color="#bbbbbb", label="a pair of runs")
    axes.set_yticks(range(len(found)), [name for name, _, _ in found])
    axes.invert_yaxis()
    axes.set_xlabel(f"accuracy less that of {REFERENCE}, points; bars: 90 % intervals of the mean")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, metadata={"Description": digest(rows)})
    return out.getvalue()


def digest(rows: Sequence[Row]) -> str:
    """SHA-256 of the rows."""
    return hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest()


def filled(page: str, root: Path = ROOT) -> str:
    """The page with what is on record between its comments.

    Raises ValueError where the page lacks the comments, and FileNotFoundError where a record is missing.
    """
    runs = recorded.find(NAME, root)
    for part in (answer, differences, accuracies, ended, plan):
        page = insert(page, part.__name__, part(runs.rows))
    for name, made in COMPARISONS.items():
        page = insert(page, name, further(recorded.find(made.record, root), made))
    page = insert(page, "routes", not_finite.routes(recorded.find(not_finite.NAME, root).rows))
    return insert(page, "seconds", seconds(runs))


def write(root: Path) -> None:
    """Write the page and its picture below the repository's root."""
    page = filled((root / PAGE).read_text(encoding="utf-8"), root)
    replace_file(root / PICTURE, picture(recorded.find(NAME, root).rows))
    replace_file(root / PAGE, page.encode())


def _flat(of: Plan) -> Row:
    held = asdict(of)
    return {**held.pop("sound"), **held}


def _place(name: str) -> int:
    return list(CHANGES).index(name) if name in CHANGES else -1


def _interval(values: Sequence[float], digits: int) -> str:
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    half = float(stats.t(len(values) - 1).ppf(1 - LEVEL) * np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


if __name__ == "__main__":
    write(ROOT)
