"""What Keras calls constraints: kernels that are put back after each step. Source: ``tf.keras.constraints``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from og_leaf.checks import check_count, shown
from og_leaf.inputs import check_tensor

EPSILON = 1e-7  # ``tf.keras.backend.epsilon()``


class Constraint(nn.Module):
    """Maps a kernel to an allowed one; a layer's is its attribute ``constraint``, of its parameter ``_kernel``."""


class UnitNorm(Constraint):
    """Divides a kernel by ``1e-7 +`` its Euclidean norm.

    Args:
        dim: dimensions of the norm. Keras' ``axis=0`` of a kernel [taps, 1, filters] is here the last one.

    Source: ``tf.keras.constraints.UnitNorm``. A kernel of zeros stays, with the gradient ``1 / 1e-7``.
    """

    def __init__(self, dim: int | tuple[int, ...] = -1) -> None:
        super().__init__()
        dims = dim if isinstance(dim, (tuple, list)) else (dim,)
        if not dims:
            raise ValueError(f"dim={shown(dim)}: must be one dimension or more")
        self._dim = tuple(check_count("dim", n, 7, least=-8) for n in dims)

    def forward(self, kernel: Tensor) -> Tensor:
        """The kernel, of norm 1 where it is not tiny."""
        # TensorFlow's norm has gradient 0 at 0, as vector_norm has; a root of a sum of squares has NaN
        check_tensor("kernel", kernel)
        norm: Tensor = torch.linalg.vector_norm(kernel, dim=self._dim, keepdim=True)
        return kernel / (EPSILON + norm)


def project_after_step(optimizer: torch.optim.Optimizer, module: nn.Module) -> RemovableHandle:
    """Makes an optimiser put constrained kernels back into their limits after every step, as Keras does.

    A Gabor parameter outside of its box has no gradient, and without this call stays there until something else moves
    it; projected onto the limit it has its gradient again, since the gradient at a limit is 1. A normalised kernel
    drifts away from norm 1, which scales its gradients. As in Keras, a kernel that a step does not move, because it is
    frozen or has no gradient, is left alone, and slots are not touched.

    Args:
        optimizer: any PyTorch optimiser; its :meth:`step` is what projects from now on.
        module: a :class:`og_leaf.GaborConv1D` or :class:`og_leaf.NormalizedConv1D`, or a module that contains at least
            one, such as :class:`og_leaf.Leaf`.

    Returns:
        A handle whose ``remove()`` undoes the call.

    Raises:
        TypeError: not an optimiser, or not a module.
        ValueError: the module contains no such layer, or one whose trainable kernel the optimiser does not hold.

    Source: the ``constraint`` of the kernels in ``leaf_audio/convolution.py``, which Keras' optimisers apply.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer={shown(optimizer)}: must be a torch.optim.Optimizer")
    if not isinstance(module, nn.Module):
        raise TypeError(f"module={shown(module)}: must be a torch.nn.Module")
    layers: list[Any] = [x for x in module.modules() if isinstance(getattr(x, "constraint", None), Constraint)]
    if not layers:
        raise ValueError(f"module={type(module).__name__}: must contain a GaborConv1D or a NormalizedConv1D")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for layer in layers:
        if layer._kernel.requires_grad and id(layer._kernel) not in held:
            name = f"{type(module).__name__}: the optimizer must hold the kernel of its {type(layer).__name__}"
            raise ValueError(f"module={name}")

    def project(*_: Any) -> None:
        with torch.no_grad():
            for layer in layers:
                if layer._kernel.grad is not None:
                    layer._kernel.copy_(layer.constraint(layer._kernel))

    return optimizer.register_step_post_hook(project)
