"""Long inputs: rounding errors of PCEN, forward and backward, over the number of frames; the tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.criteria import judged, norm, soundness
from parity.oracle.running import Running
from parity.oracle.scan import PcenBounds

if TYPE_CHECKING:
    from rich.table import Table as Rendered


Array = NDArray[Any]
LENGTHS = (1_000, 10_000, 60_000, 360_000, 1_080_000, 10_000_000)
LONGEST_WHOLE = 2_000_000  # frames; above, one value of s at a time, for the memory
SMOOTHING = (1e-6, 1e-4, 1e-2, 0.04, 0.3, 1.0)
LONG_SMOOTHING = (1e-6, 0.04)
NORMAL = 2.0**-80  # a value below has lost digits to underflow on its way; the bound alone judges it


@dataclass(frozen=True)
class LongCase:
    """PCEN with one band for each value of s, on one kind of energies.

    Attributes:
        kind: of energies, one of ``KINDS``.
        n_frames: >= 1.
        s, alpha, delta, r: parameters as they act; delta > 0.
        eps: > 0.
        seed: of the energies and the cotangent.
    """

    kind: str
    n_frames: int
    s: tuple[float, ...] = SMOOTHING
    alpha: float = 0.96
    delta: float = 2.0
    r: float = 0.5
    eps: float = 1e-12
    seed: int = 0

    def energies(self) -> Array:
        """float32 [1, C, T]; every band has its own noise, and they share what is not noise."""
        rng = np.random.default_rng(self.seed)
        noise = rng.chisquare(2, (len(self.s), self.n_frames))
        return np.asarray(KINDS[self.kind](noise, np.arange(self.n_frames)), dtype=np.float32)[np.newaxis]

    def cotangent(self) -> Array:
        """float32 [1, C, T]."""
        rng = np.random.default_rng(self.seed + 1)
        return rng.standard_normal((1, len(self.s), self.n_frames), dtype=np.float32)


def _middle(t: Array) -> Array:
    return np.asarray(3 * t // len(t) == 1)


# of noise [C, T] and the number of each frame [T], to energies [C, T]
KINDS: dict[str, Callable[[Array, Array], Array]] = {
    "noise": lambda noise, t: noise,
    "loud, silence, loud": lambda noise, t: np.where(_middle(t), 0.0, 1e4 * noise),
    "steps of 120 dB": lambda noise, t: np.where(t // 250 % 2, 1e4, 1e-8) * (1 + noise),
    "denormals": lambda noise, t: np.where(t // 300 % 2, 1e-40, 1e-3) * (1 + noise),
    "constant": lambda noise, t: np.full(noise.shape, 0.1),
    "impulse": lambda noise, t: np.where(t == len(t) // 3, 1e4, 1e-3) + 0 * noise,
}

# every kind, and the corners of the parameters' domain
CASES = (
    LongCase("noise", 1),
    LongCase("loud, silence, loud", 1),
    LongCase("steps of 120 dB", 1, alpha=1.0, delta=1e-12, r=0.01),
    LongCase("denormals", 1, alpha=1.0, delta=1e3, r=1.0, eps=1e-6),
    LongCase("constant", 1, alpha=0.5, delta=1e-6, r=0.3),
    LongCase("impulse", 1, alpha=1.0, delta=1.0, r=0.25, eps=1e-6),
)


@dataclass(frozen=True)
class LongRun:
    """``leaf.PCEN`` in float32 on a case, and the truth.

    Attributes:
        m, out: the smoother and the output, [1, C, T].
        gradients: to x [1, C, T], and to s, alpha, delta and r as they act, [C] each.
        true_m, true_out, true_gradients: the oracle's, with the running errors.
    """

    m: Array
    out: Array
    gradients: dict[str, Array]
    true_m: Running
    true_out: Running
    true_gradients: dict[str, Running]


def run(case: LongCase, energies: Array | None = None) -> LongRun:
    """Run ``leaf.PCEN`` in float32 forward and backward, and the float64 oracle with its bounds.

    Args:
        case: what to run.
        energies: float32 [1, C, T] in place of the case's own.
    """
    import torch

    from leaf import PCEN

    # without logarithms the parameters are exact
    pcen = PCEN(len(case.s), alpha=case.alpha, delta=case.delta, r=case.r, eps=case.eps, learn_logs=False)
    with torch.no_grad():
        pcen.s.copy_(torch.tensor(case.s))
    energies = case.energies() if energies is None else energies
    cotangent = case.cotangent()
    x = torch.from_numpy(energies).requires_grad_()
    out = pcen(x)
    out.backward(torch.from_numpy(cotangent))
    gradients = {"x": _array(x.grad), **{n: _array(getattr(pcen, n).grad) for n in ("s", "alpha", "delta")}}
    # the parameter is the inverse of the root: dr = -d(1 / r) / r^2
    gradients["r"] = -_array(pcen.r.grad) * _array(pcen.r).astype(np.float64) ** 2
    with torch.no_grad():
        m = _array(pcen.smooth(x))
        s, alpha, delta, r = (_array(p) for p in pcen.parameters_linear())
    bounds = PcenBounds(energies, s, alpha, delta, r, case.eps, "float32")
    return LongRun(m, _array(out), gradients, bounds.m, bounds.out, bounds.gradients(cotangent))


def measure(case: LongCase, energies: Array | None = None) -> list[dict[str, Any]]:
    """Errors of a case, a row for each value of s.

    Columns: ``smoother`` and ``output``, the largest relative error of a frame, and ``... bound``, the largest that
    the running-error bounds allow; ``output rms``, the root mean square; ``gradient`` and its bound, of the gradient
    to the energies, the L2 norm over that of the gradient. ``of bound`` and ``gradients of bound`` are the largest
    errors of smoother and output, and of all gradients, in units of the bound of the very value: 1 must not be
    exceeded. The parameters' gradients, sums that cancel, have no other measure. ``not finite`` counts NaN and
    infinity in all of them.

    Args:
        case: what to run.
        energies: see :func:`run`.
    """
    done = run(case, energies)
    rows = []
    for band, s in enumerate(case.s):
        at = (slice(None), band)
        forward = [(done.m[at], done.true_m[at]), (done.out[at], done.true_out[at])]
        (smoother, _, smoother_bound), (output, rms, output_bound) = (_relative(*pair) for pair in forward)
        where = {name: at if name == "x" else (slice(band, band + 1),) for name in done.gradients}
        backward = [(done.gradients[n][where[n]], done.true_gradients[n][where[n]]) for n in where]
        x, true_x = backward[0]
        size = max(norm(true_x.value), NORMAL)
        row = {
            "frames": case.n_frames,
            "s": s,
            "smoother": smoother,
            "smoother bound": smoother_bound,
            "output": output,
            "output bound": output_bound,
            "output rms": rms,
            "gradient": norm(x - true_x.value) / size,
            "gradient bound": norm(true_x.error) / size,
            "of bound": _of_bound(forward),
            "gradients of bound": _of_bound(backward),
            "not finite": sum(int(np.sum(~np.isfinite(got))) for got, _ in (*forward, *backward)),
        }
        rows.append(row)
    return rows


def worst(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The largest of every column for each length and value of s, in order; what is not finite is added up."""
    out: dict[tuple[int, float], dict[str, Any]] = {}
    for row in rows:
        row_of = out.setdefault((row["frames"], row["s"]), {**row, "not finite": 0})
        for name, value in row.items():
            row_of[name] = row_of[name] + value if name == "not finite" else max(row_of[name], value)
    return [out[key] for key in sorted(out)]


def sweep(n_frames: int) -> Iterator[LongCase]:
    """Every case of ``CASES`` at a length; beyond ``LONGEST_WHOLE`` frames one at a time for two values of s."""
    for case in CASES:
        if n_frames <= LONGEST_WHOLE:
            yield replace(case, n_frames=n_frames)
        else:
            yield from (replace(case, n_frames=n_frames, s=(s,)) for s in LONG_SMOOTHING)


def drawn(n: int, seed: int = 0) -> Iterator[LongCase]:
    """Cases from all of the domain: s in [0, 1] and often at its ends, alpha to 1, delta 1e-12 to 1e3, r 0.01 to 1."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        ends = rng.choice([0.0, 1.0, np.nan, np.nan], 4)
        s = np.where(np.isnan(ends), np.exp(rng.uniform(np.log(1e-6), 0.0, 4)), ends)
        yield LongCase(
            str(rng.choice(list(KINDS))),
            int(np.exp(rng.uniform(0, np.log(2000)))),
            tuple(float(value) for value in s),
            alpha=float(rng.choice([rng.uniform(0, 1), 1.0])),
            delta=float(np.exp(rng.uniform(np.log(1e-12), np.log(1e3)))),
            r=float(np.exp(rng.uniform(np.log(0.01), 0.0))),
            eps=float(rng.choice([1e-12, 1e-6])),
            seed=seed + i,
        )


def _of_bound(pairs: Iterable[tuple[Array, Running]]) -> float:
    """The largest error in units of its bound; infinite where a bound promises nothing, which all criteria accept."""
    return max(
        soundness(got, true.value, true.error).observed if judged(true.error) == 1 else np.inf for got, true in pairs
    )


def _relative(got: Array, true: Running) -> tuple[float, float, float]:
    """Largest and root mean square relative error, and the largest relative bound, where nothing underflows."""
    size = np.abs(true.value)
    held = size > NORMAL
    if not held.any():
        return 0.0, 0.0, 0.0
    off = np.abs(got[held] - true.value[held]) / size[held]
    return float(off.max()), float(np.sqrt(np.mean(off**2))), float(np.max(true.error[held] / size[held]))


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().numpy())


SOURCES = ("leaf/_runtime/scan.py", "leaf/pcen.py")
NAMES = ("long", "long_drawn")
COMMAND = "tox -e long"
OF_BOUND = ("of bound", "gradients of bound")
Progress = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True)
class LongTable:
    """A table of measurements.

    Attributes:
        name: of its record.
        title, note: what it shows.
        rows: plain values by column.
    """

    name: str
    title: str
    note: str
    rows: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Tell whether every value is finite and under its bound."""
        return all(row["not finite"] == 0 and all(row[name] <= 1 for name in OF_BOUND) for row in self.rows)

    def rendered(self) -> Rendered:
        """For the terminal."""
        from rich.table import Table as Rendered

        table = Rendered(title=self.title, caption=self.note)
        for column in self.rows[0]:
            table.add_column(column, no_wrap=True)
        for row in self.rows:
            table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
        return table

    def keep(self, root: Path) -> Path:
        """Write the record, see :func:`parity.report.recorded.keep`."""
        from parity.report import recorded

        rows = [{k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()} for row in self.rows]
        return recorded.keep(
            self.name, rows, title=self.title, note=self.note, command=COMMAND, sources=SOURCES, root=root
        )


def measured(root: Path) -> list[bytes]:
    """Read the measured sources, so that a record never carries the name of what came after."""
    return [path.read_bytes() for path in (root / source for source in SOURCES) if path.is_file()]


def tables(lengths: Sequence[int] | None, n_drawn: int, progress: Progress) -> list[LongTable]:
    """Measure both.

    Args:
        lengths: in frames, each >= 1; ``LENGTHS`` if None or empty.
        n_drawn: drawn cases; with 0 there is no second table.
        progress: given what begins and of how many steps, what to call after each.
    """
    rows: list[dict[str, Any]] = []
    for n in sorted(set(lengths or LENGTHS)):
        cases = list(sweep(n))
        step = progress(f"{n} frames", len(cases))
        for case in cases:
            rows += measure(case)
            step()
    kinds = ", ".join(f"{case.kind} (alpha={case.alpha:g}, delta={case.delta:g}, r={case.r:g})" for case in CASES)
    over_length = LongTable(
        NAMES[0],
        "PCEN over length",
        f"leaf.PCEN in float32 against the float64 oracle, the worst of {len(CASES)} inputs: {kinds}. Largest relative "
        "error of a frame (smoother, output), relative L2 norm (gradient, to the energies; at s = 1 it cancels against "
        "itself where alpha = 1), and in units of each value's running-error bound.",
        worst(rows),
    )
    return [over_length, *([_drawn(n_drawn, progress)] if n_drawn else [])]


def _drawn(n: int, progress: Progress) -> LongTable:
    rows = []
    step = progress(f"{n} drawn cases", n)
    for case in drawn(n):
        rows += measure(case)
        step()
    ends = {
        "s = 0": [row for row in rows if row["s"] == 0],
        "0 < s < 1": [row for row in rows if 0 < row["s"] < 1],
        "s = 1": [row for row in rows if row["s"] == 1],
    }
    table = [
        {
            "s": name,
            "bands": len(found),
            "frames": sum(row["frames"] for row in found),
            "not finite": sum(row["not finite"] for row in found),
            **{column: max(row[column] for row in found) for column in OF_BOUND},
        }
        for name, found in ends.items()
        if found
    ]
    note = (
        f"{n} cases of 4 bands: s in [0, 1], alpha to 1, delta 1e-12 to 1e3, r 0.01 to 1, eps 1e-12 or 1e-6. How many "
        "values and gradients are NaN or infinite, and the largest errors in units of the running-error bound."
    )
    return LongTable(NAMES[1], "PCEN over its domain", note, table)
