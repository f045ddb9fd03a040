"""What an implementation makes of a subject. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What came of running a subject, or that it was refused.

    Attributes:
        output: the output in the original's layout (time before channels); complex ones as real and imaginary part in
            a last axis of 2. ``None`` where it was refused.
        variables: by canonical name, in the original's shapes, as they were: those of a layer, and the arguments
            of a function beside its input.
        gradients: of ``sum(cotangent * output)``, by ``"input"`` and the names of the trainable variables; where the
            output does not depend on one, zeros. Complex outputs as above, so gradients are real.
        losses: the sum of the regularisation losses; of ``fft_conv1d`` the L1 norm that it returns beside the output.
            ``None`` where there are none.
        loss_gradients: gradients of that sum, by the same names; what it does not depend on is left out.
        refused: name of the exception's class where the implementation refused the subject, else ``None``.
        gradient_refused: the same where it has an output, and only its gradient was refused; there are no gradients and
            losses then. TensorFlow's own refusals: of a transform that cuts its filters, of an output without frames.
    """

    output: Array | None = None
    variables: Mapping[str, Array] = field(default_factory=dict)
    gradients: Mapping[str, Array] = field(default_factory=dict)
    losses: Array | None = None
    loss_gradients: Mapping[str, Array] = field(default_factory=dict)
    refused: str | None = None
    gradient_refused: str | None = None

    def arrays(self) -> dict[str, Array]:
        """Everything by one set of names: ``output``, ``gradients/kernel``, ``losses``, ``loss_gradients/kernel``."""
        out: dict[str, Array] = {} if self.output is None else {"output": self.output}
        out.update({f"gradients/{name}": value for name, value in self.gradients.items()})
        if self.losses is not None:
            out["losses"] = self.losses
        out.update({f"loss_gradients/{name}": value for name, value in self.loss_gradients.items()})
        return out


def real_parts(values: Array) -> Array:
    """Complex values as real and imaginary parts in a last axis of 2; real values as they are."""
    if values.dtype.kind != "c":
        return values
    return np.stack([values.real, values.imag], axis=-1)
