"""Test that a tolerance is held on drawn banks and hostile signals: ``python -m benchmarks.tolerance [--record]``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from parity.checks.tolerance import KINDS, TOLERANCES, banks, clips, draw, errors
from parity.report import recorded

ROOT = Path(__file__).parents[1]
FOLDER = "efficientleaf/tolerance"
SOURCES = (
    *(f"{FOLDER}/{name}.py" for name in ("module", "blocks", "plan", "bound")), "leaf/filters.py", "leaf/filterbank.py",
    "parity/checks/tolerance.py", "benchmarks/tolerance.py",
)  # fmt: skip


def run(tolerance: float, n_draws: int, first: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """The worst of ``n_draws`` draws, kind by kind, with the seed that shows it."""
    worst: dict[str, dict[str, float]] = defaultdict(lambda: {"band": 0.0, "seed": -1, "frame": 0.0, "pcen": 0.0})
    over, full, bands, ratios = [], 0, 0, []
    for seed in range(first, first + n_draws):
        drawn = draw(seed)
        reference, ours = banks(drawn, tolerance, dtype)
        plan = ours.plan()
        found = errors(ours, reference, clips(drawn))
        if (found.band > tolerance).any():
            over.append(seed)
        for kind, band, frame, pcen in zip(KINDS, found.band.max(1), found.frame, found.pcen, strict=True):
            if band > worst[kind]["band"]:
                worst[kind].update(band=float(band), seed=seed)
            worst[kind]["frame"] = max(worst[kind]["frame"], float(frame))
            worst[kind]["pcen"] = max(worst[kind]["pcen"], float(pcen))
        full += len(plan.full_rate_bands)
        bands += len(drawn.sigmas)
        ratios.append(plan.ratio(100 * drawn.hop))
    return {
        "tolerance": tolerance,
        "dtype": str(dtype).removeprefix("torch."),
        "draws": n_draws,
        "first_seed": first,
        "held": not over,
        "over_tolerance": over,
        "worst": max(w["band"] for w in worst.values()),
        "kinds": dict(worst),
        "full_rate_share": full / bands,
        "cost_ratio": {"least": min(ratios), "median": float(np.median(ratios))},
    }


def main(
    n_draws: Annotated[int, typer.Option(help="banks per tolerance")] = 2000,
    first: Annotated[int, typer.Option(help="seed of the first")] = 0,
    tolerance: Annotated[list[float] | None, typer.Option(help="one or several")] = None,
    record: Annotated[bool, typer.Option(help="keep the table in benchmarks/results")] = False,
) -> None:
    """Draws, measures, prints; exits with 1 where a tolerance is not held."""
    torch.set_num_threads(1)
    found = [run(t, n_draws, first) for t in tolerance or TOLERANCES]
    for result in found:
        print(f"tolerance {result['tolerance']:g}: worst {result['worst']:.2e}, held: {result['held']}, ")
        print(f"  over: {result['over_tolerance'][:9]}")
        print(f"  LEAF's cost over ours {result['cost_ratio']}, bands at full rate {result['full_rate_share']:.0%}")
        for kind, w in result["kinds"].items():
            print(
                f"  {kind:<28} {w['band']:.2e} (seed {w['seed']:.0f}), a frame {w['frame']:.1e}, PCEN {w['pcen']:.1e}"
            )
    if record:
        recorded.keep(
            "tolerance",
            [
                {
                    **{name: result[name] for name in ("tolerance", "draws", "first_seed", "dtype")},
                    "over": len(result["over_tolerance"]),
                    "signal": kind,
                    **w,
                    "bands at full rate": result["full_rate_share"],
                    "LEAF's operations over ours, median": result["cost_ratio"]["median"],
                }
                for result in found
                for kind, w in result["kinds"].items()
            ],
            title="Worst errors of drawn banks, by signal",
            note="Band: the largest of any band, L2 over the frames against LEAF's energies, both floored at 1e-5; the "
            "seed that shows it; the same of a frame, and after PCEN. Over: banks above the tolerance with any signal.",
            command=f"python -m benchmarks.tolerance --n-draws {n_draws} --first {first} "
            + " ".join(f"--tolerance {result['tolerance']:g}" for result in found)
            + " --record",
            sources=SOURCES,
            root=ROOT,
        )
    raise typer.Exit(0 if all(result["held"] for result in found) else 1)


if __name__ == "__main__":
    typer.run(main)
