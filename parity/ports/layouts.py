"""Read and find the axes of a stage: written as text, found where there is one answer, refused where there is not.

A layout is a text of letters: ``b`` clips, ``c`` filters, ``p`` the real and the imaginary part, ``t`` time (samples or
frames), ``k`` taps, and ``1`` for an axis of one value. Without blanks every letter is an axis: ``"btc"``, ``"1kc1"``.
With blanks an axis may hold two: ``"b cp t"`` has the two parts of a filter beside each other, ``"b pc t"`` all real
parts before all imaginary ones. Complex values have their parts on no axis: ``"bct"``. NumPy alone.
"""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np

CANONICAL = {"filters": "cpk", "windows": "ck", "conv": "bcpt"}
Axes = tuple[str, ...]
CLEAR = 2.0  # a layout is found by values where every other is so many times as far from the reference


class AdapterError(ValueError):
    """A description of a port that is not so, or not enough: it is to be mended, not the port."""


def letters(stage: str) -> str:
    """The axes of a stage in canonical order."""
    return CANONICAL.get(stage, "bct")


def parse(stage: str, text: str) -> Axes:
    """A layout from its text; of no text, no axes.

    Raises:
        ValueError: letters that the stage has not, or not all of those that it has.
    """
    axes = tuple(text.split()) if " " in text.strip() else tuple(text.strip())
    own = letters(stage)
    found = sorted("".join(axes).replace("1", ""))
    if axes and found not in (sorted(own), sorted(own.replace("p", ""))):
        raise ValueError(f"layout={text!r} of {stage!r}: must have each of {', '.join(own)} once, and 1 for other axes")
    return tuple("" if axis == "1" else axis for axis in axes)


def to_canonical(values: np.ndarray, stage: str, axes: Axes, n_filters: int) -> np.ndarray:
    """The values in canonical order; as they are where they do not have that many axes or parts."""
    if np.iscomplexobj(values):
        values, axes = np.stack([values.real, values.imag], axis=-1), (*axes, "p")
    if values.ndim != len(axes) or any(not axis and n != 1 for axis, n in zip(axes, values.shape, strict=True)):
        return values
    shape: list[int] = []
    for axis, n in zip(axes, values.shape, strict=True):
        if len(axis) == 2 and n != 2 * n_filters:
            return values
        shape += [n] if len(axis) == 1 else [{"c": n_filters, "p": 2}[letter] for letter in axis]
    order = "".join(axes)
    if sorted(order) != sorted(letters(stage)):
        return values
    return np.asarray(values.reshape(shape).transpose([order.index(letter) for letter in letters(stage)]))


def from_canonical(values: np.ndarray, stage: str, axes: Axes, is_complex: bool) -> np.ndarray:
    """Canonical values as the port has them: the inverse of :func:`to_canonical`."""
    axes = (*axes, "p") if is_complex else axes
    own, order = letters(stage), "".join(axes)
    size = dict(zip(own, values.shape, strict=True))
    shape = [int(np.prod([size[letter] for letter in axis], initial=1)) for axis in axes]
    out = values.transpose([own.index(letter) for letter in order]).reshape(shape)
    return np.asarray(
        out[..., 0] + 1j * out[..., 1] if is_complex else out, dtype=_complex(out) if is_complex else None
    )


def find(
    values: np.ndarray, reference: np.ndarray, stage: str, parts: str = "", wave: np.ndarray | None = None
) -> Axes:
    """The layout of values that should be the reference's, canonical.

    Sizes decide; where several layouts have them, the values do. Time and taps may have another size: a stage that is a
    sample too long is still this stage.

    Args:
        values: of the port.
        reference: the same in canonical order.
        stage: which one.
        parts: ``interleaved`` or ``blocks``, if it was said.
        wave: the filters, or what the stage makes of an impulse: where values do not decide, the symmetry of its parts.

    Raises:
        AdapterError: no layout fits, or several do.
    """
    fitting = [axes for axes in _possible(values, stage, parts) if _fits(values, reference, stage, axes)]
    exact = [axes for axes in fitting if _seen(values, stage, axes, reference).shape == reference.shape]
    fitting = exact or fitting
    if not fitting:
        raise AdapterError(
            f"stage {stage!r}: shape {values.shape} is none of a layout of {reference.shape} "
            f"({', '.join(letters(stage))}): say which axis is which, stages_layout={{{stage!r}: ...}}"
        )
    different: list[Axes] = []
    for axes in fitting:  # of one filter, or one clip, several layouts are one
        seen = _seen(values, stage, axes, reference)
        if not any(np.array_equal(seen, _seen(values, stage, other, reference)) for other in different):
            different.append(axes)
    apart = sorted((_distance(_seen(values, stage, axes, reference), reference, stage), axes) for axes in different)
    if len(apart) > 1 and not apart[1][0] > CLEAR * apart[0][0] and wave is not None:
        apart = sorted((_asymmetry(_seen(wave, stage, axes, reference), stage), axes) for axes in different)
    if len(apart) > 1 and not apart[1][0] > CLEAR * apart[0][0]:
        names = " or ".join(repr(text(axes)) for _, axes in apart[:2])
        raise AdapterError(
            f"stage {stage!r}: shape {values.shape} may be {names}: say which, stages_layout={{{stage!r}: ...}}"
        )
    return apart[0][1]


def text(axes: Axes) -> str:
    """The text of a layout."""
    return (" " if any(len(axis) > 1 for axis in axes) else "").join(axis or "1" for axis in axes)


def _possible(values: np.ndarray, stage: str, parts: str) -> list[Axes]:
    own = letters(stage)
    plain = tuple(own.replace("p", ""))
    groupings: list[Axes] = [plain]
    if "p" in own and not np.iscomplexobj(values):
        merged = {"interleaved": ("cp",), "blocks": ("pc",), "": ("cp", "pc")}[parts]
        groupings = [tuple(own), *(tuple(pair if axis == "c" else axis for axis in plain) for pair in merged)]
    found = []
    for grouping in groupings:
        n_single = values.ndim - len(grouping)
        singles = [i for i, n in enumerate(values.shape) if n == 1]
        for places in combinations(singles, n_single) if n_single >= 0 else ():
            for order in permutations(grouping):
                left = iter(order)
                found.append(tuple("" if i in places else next(left) for i in range(values.ndim)))
    return found


def _seen(values: np.ndarray, stage: str, axes: Axes, reference: np.ndarray) -> np.ndarray:
    return to_canonical(values, stage, axes, reference.shape[letters(stage).index("c")])


def _fits(values: np.ndarray, reference: np.ndarray, stage: str, axes: Axes) -> bool:
    seen = _seen(values, stage, axes, reference)
    if seen.ndim != reference.ndim:
        return False
    return all(
        a == b for letter, a, b in zip(letters(stage), seen.shape, reference.shape, strict=True) if letter in "bcp"
    )


def _distance(seen: np.ndarray, reference: np.ndarray, stage: str) -> float:
    """Measure the distance from the reference, up to a factor; of complex stages the energies of clips and filters."""
    shared = tuple(slice(0, min(a, b)) for a, b in zip(seen.shape, reference.shape, strict=True))
    a, b = (x[shared].astype(np.float64) for x in (seen, reference))
    if "p" in letters(stage):
        a, b = ((x**2).sum(axis=(letters(stage).index("p"), -1)) for x in (a, b))
    sizes = [float(np.linalg.norm(x)) or 1.0 for x in (a, b)]
    return float(np.linalg.norm(a / sizes[0] - b / sizes[1]))


def _asymmetry(wave: np.ndarray, stage: str) -> float:
    """Measure how far real parts are from even and imaginary parts from odd, around whatever middle."""
    parts = np.moveaxis(wave.astype(np.float64), letters(stage).index("p"), 0).reshape(2, -1, wave.shape[-1])
    apart = 0.0
    for sign, rows in zip((1, -1), parts, strict=True):
        for row in rows:
            folded = np.convolve(row, row) * sign
            apart += 1 - folded.max() / max(np.abs(folded).max(), 1e-30)
    return apart


def _complex(values: np.ndarray) -> Any:
    return np.complex128 if values.dtype == np.float64 else np.complex64
