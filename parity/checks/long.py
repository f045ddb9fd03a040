"""Long inputs: what rounding does to PCEN, forward and backward, as the number of frames grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.criteria import judged, norm, soundness
from parity.oracle.running import Running
from parity.oracle.scan import PcenBounds

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
class Run:
    """What ``leaf.PCEN`` in float32 made of a case, and what is true.

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


def run(case: LongCase, energies: Array | None = None) -> Run:
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
    return Run(m, _array(out), gradients, bounds.m, bounds.out, bounds.gradients(cotangent))


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
        kept = out.setdefault((row["frames"], row["s"]), {**row, "not finite": 0})
        for name, value in row.items():
            kept[name] = kept[name] + value if name == "not finite" else max(kept[name], value)
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
