"""The account of EfficientLEAF's error: each source by itself, in the float64 oracle, beside what the model predicts.

``python -m benchmarks.error_budget`` prints a line a band; with
``--write docs/the-error-of-efficientleaf.md`` it writes that page's tables and its picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from parity.oracle import analytic_init
from parity.oracle.approximation import SOURCES, Band, Frontend, bands, energies, forms
from parity.oracle.arrays import Array


@dataclass(frozen=True)
class Source:
    """One reason why EfficientLEAF's energies are not LEAF's.

    Attributes:
        name: of ``SOURCES``, here and in ``EfficientLeaf(exact=...)``.
        title: in words.
        published: what EfficientLEAF computes.
        exact: what LEAF computes, which ``exact`` with this name puts back.
    """

    name: str
    title: str
    published: str
    exact: str


ACCOUNT = (
    Source("kernel", "length of the kernels", "L = int(conv_win_factor * max sigma) taps, made odd: cut, or longer",
           "W taps"),
    Source("rate", "decimation", "energies and pooling window at every s-th sample", "at every sample"),
    Source("gain", "gain of the stride", "a sum over W / s samples", "times s"),
    Source("width", "width of the pooling window", "times W / (s K): in seconds W (K - 1) / (K (W - 1)) of LEAF's",
           "times (W - 1) / (s (K - 1))"),
    Source("span", "span of the pooling window", "K = int(W / s + 1/2) taps, made odd: two lie beyond the window "
           "where 2 (h mod s) + 1 >= 3 s / 2", "2 floor(h / s) + 1 taps, h = (W - 1) / 2"),
    Source("sigma", "lower limit of sigma", "2 sqrt(2 ln 2) / pi samples", "4 sqrt(2 ln 2) / pi samples"),
)  # fmt: skip
PUBLISHED = {
    "default": Frontend(401, 160, 4, 4.77, 1.0),
    "8g": Frontend(401, 160, 8, 4.77, 1.0),
    "8g-opt": Frontend(401, 160, 8, 6.0, 16.0),
}
ALL = frozenset(SOURCES)
GAINED = ALL - {"gain"}  # next to a missing gain of 160 nothing else shows


@dataclass(frozen=True)
class Prediction:
    """What the model says of one band, from the parameters alone.

    Attributes:
        expected: over Gaussian white noise, root mean square of the difference over that of LEAF's energies.
        bound: of the difference for ``|x| <= 1``, over the same bound of LEAF's energies.
    """

    expected: float
    bound: float


@dataclass(frozen=True)
class Account:
    """The errors of one set of parameters on one signal.

    Attributes:
        kernel: mu and sigma, [C, 2].
        width: pooling widths, [C].
        frontend: EfficientLEAF's arguments.
        x: audio, [B, T].
    """

    kernel: Array
    width: Array
    frontend: Frontend
    x: Array
    _power: dict[tuple[float, float, int], Array] = field(default_factory=dict, repr=False)

    def bands(self, on: Collection[str]) -> list[Band]:
        """Every band with the sources ``on``, the others neutralised."""
        return bands(self.kernel, self.width, self.frontend, on)

    def energies(self, on: Collection[str]) -> Array:
        """Pooled energies [B, C, frames] with the sources ``on``: none is LEAF, all is EfficientLEAF."""
        return energies(self.bands(on), self.x, self.frontend.hop, self._power)

    @cached_property
    def leaf(self) -> Array:
        """LEAF's pooled energies, [B, C, frames]."""
        return self.energies(())

    def size(self, on: Collection[str]) -> Array:
        """What the sources ``on`` make together: |difference|_2 / |energies of LEAF|_2 over clips and frames, [C]."""
        square = ((self.energies(on) - self.leaf) ** 2).sum(axis=(0, 2))
        return np.asarray(np.sqrt(square / (self.leaf**2).sum(axis=(0, 2))))

    def predicted(self, *choices: Collection[str]) -> list[list[Prediction]]:
        """For each choice of sources, each band's prediction: of a frame inside the clip, without the signal."""
        sides = [self.bands(on) for on in choices]
        found: list[list[Prediction]] = [[] for _ in choices]
        for c, other in enumerate(self.bands(())):
            extent = max(band.half + band.reach for band in (other, *(side[c] for side in sides)))
            inside = [(-extent, extent)]
            (leaf,) = forms(other, extent, inside)
            for row, side in zip(found, sides, strict=True):
                off = forms(side[c], extent, inside)[0] - leaf
                expected = float(np.sqrt(off.mean_square / leaf.mean_square))
                row.append(Prediction(expected, off.supremum / leaf.supremum))
        return found


def published(setting: str) -> Account:
    """A published setting with its initial weights of 40 filters, on a second of white noise.

    Raises:
        KeyError: it is none of ``PUBLISHED``.
    """
    noise = 0.3 * np.random.default_rng(0).uniform(-1, 1, (1, 16000))
    width = np.full(40, 0.4)
    return Account(analytic_init(40, 16000, 60.0, 7800.0), width, PUBLISHED[setting], noise)


def lines(account: Account) -> Iterator[str]:
    """A table of one account: each source alone, what is left without the gain, and all; a line a band."""
    columns = [*({name} for name in SOURCES), GAINED, ALL]
    sizes = [account.size(on) for on in columns]
    yield "band     Hz    s    L   K " + "".join(f"{name:>10}" for name in (*SOURCES, "but gain", "all"))
    for c, band in enumerate(account.bands(ALL)):
        hertz, taps = band.mu * 8000 / np.pi, np.count_nonzero(band.weights)
        figures = "".join(f"{size[c]:10.2g}" for size in sizes)
        yield f"{c:4} {hertz:6.0f} {band.stride:4} {2 * band.reach + 1:4} {taps:3} {figures}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_budget", description="Print a line a band.")
    parser.add_argument("--setting", choices=list(PUBLISHED), default="8g-opt", help="a published setting")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the tables and the picture of this page")
    given = parser.parse_args(arguments)
    if given.write:
        from benchmarks import error_budget_page

        error_budget_page.write(given.write)
    else:
        print("\n".join(lines(published(given.setting))))


if __name__ == "__main__":
    main()
