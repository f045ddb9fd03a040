"""Penalties on weights, as Keras' regularisers compute them. Source: ``tf.keras.regularizers``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from og_leaf.checks import check_callable, check_real
from og_leaf.inputs import check_tensor

Regularizer = Callable[[Tensor], Tensor]


class L1L2:
    """``l1 sum |w| + l2 sum w^2``, of a tensor of any shape; a number.

    Args:
        l1: of the absolute values.
        l2: of the squares.

    Raises:
        TypeError: a coefficient that is not a number.
        ValueError: one that is infinite or NaN.

    Source: ``tf.keras.regularizers.L1L2``. The gradient of ``|w|`` is 0 at 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = check_real("l1", l1)
        self.l2 = check_real("l2", l2)

    def __call__(self, weight: Tensor) -> Tensor:
        """The penalty, a tensor of no dimensions."""
        penalty = check_tensor("weight", weight).new_zeros(())
        if self.l1:
            penalty = penalty + self.l1 * weight.abs().sum()
        if self.l2:
            penalty = penalty + self.l2 * weight.square().sum()
        return penalty


class L1:
    """``l1 sum |w|``; errors and source as for :class:`L1L2`."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = check_real("l1", l1)

    def __call__(self, weight: Tensor) -> Tensor:
        """The penalty, a tensor of no dimensions."""
        return self.l1 * check_tensor("weight", weight).abs().sum()


class L2:
    """``l2 sum w^2``; errors and source as for :class:`L1L2`."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = check_real("l2", l2)

    def __call__(self, weight: Tensor) -> Tensor:
        """The penalty, a tensor of no dimensions."""
        return self.l2 * check_tensor("weight", weight).square().sum()


def check_regularizer(regularizer: Any, name: str = "kernel_regularizer") -> Regularizer | None:
    """The regulariser, if it is one.

    Raises:
        TypeError: neither a callable nor None.
    """
    return None if regularizer is None else check_callable(name, regularizer, "a callable on a tensor, as L2(0.01) is")


class Regularized(nn.Module):
    """A layer with a penalty on its kernel.

    Attributes:
        kernel_regularizer: maps the kernel to a number; None is no penalty.
    """

    kernel_regularizer: Regularizer | None = None

    def regularized(self) -> Tensor:
        """The kernel that is penalised."""
        raise NotImplementedError

    def regularization_loss(self) -> Tensor:
        """The penalty, a tensor of no dimensions; 0 without a regulariser. As in Keras it counts where frozen, too."""
        kernel = self.regularized()
        return kernel.new_zeros(()) if self.kernel_regularizer is None else self.kernel_regularizer(kernel)
