"""Ways of calling a frontend: with and without gradients, under torch.func, in threads and as a graph."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

Call = Callable[[nn.Module], tuple[Tensor, ...]]


AUDIO = torch.rand(2, 120, generator=torch.Generator().manual_seed(0)) - 0.5
NAMES = ("center_freqs", "bandwidths", "pooling_widths")
FACTOR = 0.7  # at which strides and kernels are others
N_THREADS = 4


def audio(module: Any) -> Tensor:
    """In the module's dtype."""
    return AUDIO.to(next(module.parameters()).dtype)


def own(module: Any) -> dict[str, Tensor]:
    """Parameters of the filterbank, detached."""
    return {f"filterbank.{name}": getattr(module.filterbank, name).detach().clone() for name in NAMES}


def moved(module: Any) -> dict[str, Tensor]:
    """Others."""
    return {name: FACTOR * value for name, value in own(module).items()}


def forward(module: Any) -> tuple[Tensor, ...]:
    """Without gradients."""
    with torch.no_grad():
        return (module(audio(module)),)


def backward(module: Any) -> tuple[Tensor, ...]:
    """Output and gradients, to what asks for one."""
    x = audio(module).requires_grad_()
    y = module(x)
    sources = [x, *(p for p in module.parameters() if p.requires_grad)]
    return (y.detach(), *torch.autograd.grad(y.square().sum(), sources, materialize_grads=True))


def partly(*learned: str) -> Call:
    """:func:`backward`, with gradients to some parameters of the filterbank."""

    def call(module: Any) -> tuple[Tensor, ...]:
        asked = {p: p.requires_grad for p in module.parameters()}
        for name in NAMES:
            getattr(module.filterbank, name).requires_grad_(name in learned)
        try:
            return backward(module)
        finally:
            for p, asks in asked.items():
                p.requires_grad_(asks)

    return call


def inferred(module: Any) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        return (module(audio(module)).clone(),)


def replaced(module: Any) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return (functional_call(module, moved(module), (audio(module),)),)


def slopes(module: Any) -> tuple[Tensor, ...]:
    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        y: Tensor = functional_call(module, parameters, (x,)).square().sum()
        return y

    found, to_x = grad(loss, argnums=(0, 1))(moved(module), audio(module))
    return (*found.values(), to_x)


def slopes_of_audio(module: Any) -> tuple[Tensor, ...]:
    return (grad(lambda x: module(x).square().sum())(audio(module)),)


def many_clips(module: Any) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return (vmap(module)(audio(module).unsqueeze(1)),)


def energies(module: Any, parameters: dict[str, Tensor]) -> Tensor:
    """PCEN has no forward mode."""
    bank = {name.removeprefix("filterbank."): value for name, value in parameters.items()}
    y: Tensor = functional_call(module.filterbank, bank, (audio(module),))
    return y


def tangent(module: Any) -> tuple[Tensor, ...]:
    at = own(module)
    return jvp(lambda parameters: energies(module, parameters), (at,), (at,))


def dual(module: Any) -> tuple[Tensor, ...]:
    with forward_ad.dual_level():
        at = {name: forward_ad.make_dual(value, value) for name, value in own(module).items()}
        y, slope = forward_ad.unpack_dual(energies(module, at))
    return y, slope


def replica(module: Any) -> Any:
    """As torch.nn.parallel makes one: other parameters, and all else shared."""
    other, bank = copy.copy(module), copy.copy(module.filterbank)
    bank._parameters = {name: nn.Parameter(FACTOR * p.detach()) for name, p in module.filterbank.named_parameters()}
    other._modules = {**module._modules, "filterbank": bank}
    return other


def threads(module: Any) -> tuple[Tensor, ...]:
    """Call a module and a replica, each in two threads at once."""
    found: dict[int, Tensor] = {}
    barrier = threading.Barrier(N_THREADS)
    modules = module, replica(module)

    def run(i: int) -> None:
        barrier.wait()
        for _ in range(3):
            found[i] = forward(modules[i % 2])[0]

    running = [threading.Thread(target=run, args=(i,)) for i in range(N_THREADS)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return tuple(found[i] for i in range(N_THREADS))


CALLS: dict[str, Call] = {
    "forward": forward,
    "backward": backward,
    "inference_mode": inferred,
    "functional_call": replaced,
    "func.grad": slopes,
    "func.grad of the audio": slopes_of_audio,
    "func.vmap of the audio": many_clips,
    "func.jvp": tangent,
    "dual parameters": dual,
    "four threads": threads,
    **{
        f"gradients to {' and '.join(learned) or 'the audio alone'}": partly(*learned)
        for learned in (tuple(n for i, n in enumerate(NAMES) if mask >> i & 1) for mask in range(2 ** len(NAMES) - 1))
    },
}


BEFORE = ("forward", "inference_mode", "functional_call", "func.grad of the audio", "func.jvp", "four threads")


def many_parameters(module: Any) -> tuple[Tensor, ...]:
    """A frozen plan serves many."""
    both = [own(module), moved(module)]
    stacked = {name: torch.stack([parameters[name] for parameters in both]) for name in both[0]}
    with torch.no_grad():
        return (vmap(lambda parameters: functional_call(module, parameters, (audio(module),)))(stacked),)


def jit_traced(module: Any) -> tuple[Tensor, ...]:
    """Traced, then given other weights: what was kept must not be in the graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengths and types, which a trace fixes
        with torch.no_grad():
            traced = torch.jit.trace(module, (audio(module),))
            for p in module.filterbank.parameters():
                p.mul_(1 + 2.0**-10)
            return (traced(audio(module)),)


def compiled(module: Any) -> tuple[Tensor, ...]:
    torch._dynamo.reset()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        return (torch.compile(module, backend="eager", fullgraph=True)(audio(module)),)


def exported(module: Any) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return (torch.export.export(module, (audio(module),), strict=False).module()(audio(module)),)


GRAPHS: dict[str, Call] = {"jit.trace": jit_traced, "compile": compiled, "export": exported}
