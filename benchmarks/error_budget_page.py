"""The tables and the picture of ``docs/the-error-of-efficientleaf.md``, from the account."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.error_budget import ACCOUNT, ALL, GAINED, PUBLISHED, Account, published
from parity.oracle.approximation import SOURCES, tail
from parity.oracle.arrays import Array
from parity.report.markdown import insert, table
from parity.weights.outputs import replace_file

OPTIMISED = "8g-opt"


def write(page: Path) -> None:
    """Write the page's tables, and its picture beside it under the same name.

    Raises:
        ValueError: the page lacks the comments that hold a table.
    """
    text = page.read_text(encoding="utf-8")
    for name, made in tables().items():
        text = insert(text, name, made)
    replace_file(page.with_suffix(".png"), picture(published(OPTIMISED)))
    replace_file(page, text.encode())


def tables() -> dict[str, str]:
    """Markdown by the name of the comments that it stands between."""
    accounts = {name: published(name) for name in PUBLISHED}
    return {"sources": sources(), "settings": settings(accounts), "groups": groups(accounts[OPTIMISED])}


def sources() -> str:
    """Describe each source: what EfficientLEAF computes there, and what LEAF does."""
    head = ("source", "what it is", "EfficientLEAF, published", "LEAF: `exact=` puts back")
    return table(head, [(f"`{s.name}`", s.title, s.published, s.exact) for s in ACCOUNT])


def settings(accounts: dict[str, Account]) -> str:
    """Mean over the bands and the largest band of every source, alone and taken away, in every published setting."""
    head = ("on", *(f"{name}: mean (largest)" for name in accounts))
    rows: list[tuple[str, Collection[str]]] = [(f"`{name}` alone", {name}) for name in SOURCES]
    rows += [("all but `gain`", GAINED)]
    rows += [(f"all but `gain`, `{name}`", GAINED - {name}) for name in ("kernel", "rate", "width")]
    rows += [("all: as published", ALL)]
    return table(head, [(title, *(_mean(a.size(on)) for a in accounts.values())) for title, on in rows])


def groups(account: Account) -> str:
    """Every group of one setting: its plan, and of each source what was measured, expected and bounded."""
    head = (
        "bands", "Hz", "s", "L", "K", "`gain`", "tail of y", "V_s(0)/V(0) - 1",
        "`kernel`", "`rate`", "`width`", "all but `gain`",
    )  # fmt: skip
    choices = ({"kernel"}, {"rate"}, {"width"}, GAINED)
    measured = [account.size(on) for on in choices]
    expected, bound = (np.array([[getattr(p, name) for p in row] for row in account.predicted(*choices)])
                       for name in ("expected", "bound"))  # fmt: skip
    chosen, leaf, rated = account.bands(ALL), account.bands(()), account.bands({"rate"})
    plan = [(b.stride, b.reach) for b in chosen]
    starts = [c for c in range(len(plan)) if c == 0 or plan[c] != plan[c - 1]]
    rows = []
    for start, stop in zip(starts, [*starts[1:], len(plan)], strict=True):
        band = slice(start, stop)
        hertz = [b.mu * 8000 / np.pi for b in chosen[band]]
        stride, reach = plan[start]
        cut = max(tail(a, b) for a, b in zip(account.bands({"kernel"})[band], leaf[band], strict=True))
        sampled = rated[start].weights.sum() / leaf[start].weights.sum() - 1
        rows.append((
            f"{start}-{stop - 1}", f"{hertz[0]:.0f}-{hertz[-1]:.0f}", f"{stride}", f"{2 * reach + 1}",
            f"{np.count_nonzero(chosen[start].weights)}", f"{-10 * np.log10(stride):.0f} dB", _share(cut),
            _share(float(sampled)),
            *(" / ".join(_share(float(v[i][band].mean())) for v in (measured, expected, bound)) for i in range(4)),
        ))  # fmt: skip
    return table(head, rows)


def picture(account: Account) -> bytes:
    """PNG: a panel a source, over the bands' centres: measured on noise, expected of noise, the bound."""
    panels: dict[str, Collection[str]] = {
        f"{s.name}: {s.title}": {s.name} for s in ACCOUNT if s.name in ("kernel", "rate", "width", "gain")
    }
    panels.update({"all but gain": GAINED, "all but gain and width": GAINED - {"width"}})
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    hertz = [b.mu * 8000 / np.pi for b in account.bands(ALL)]
    for panel, (title, on), predictions in zip(axes, panels.items(), account.predicted(*panels.values()), strict=True):
        for values, label, style, colour in (
            ([p.bound for p in predictions], "bound, |x| <= 1 (of LEAF's own)", "--", "#d55e00"),
            ([p.expected for p in predictions], "expected, white noise", "-", "#e69f00"),
            (account.size(on), "measured, white noise", ".", "#0072b2"),
        ):
            panel.plot(hertz, values, style, color=colour, label=label, linewidth=1.3, markersize=5)
        panel.set(title=title, xscale="log", yscale="log", ylim=(3e-5, 2))
        panel.title.set_fontsize(9)
        panel.grid(alpha=0.3)
    for panel in axes[3:]:
        panel.set_xlabel("centre of the band, Hz")
    for panel in axes[::3]:
        panel.set_ylabel("share of LEAF's energies")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()


def _mean(size: Array) -> str:
    return f"{_share(float(size.mean()))} ({_share(float(size.max()))})" if size.any() else "none"


def _share(value: float) -> str:
    return "0" if value == 0 else f"{100 * value:.2g} %"
