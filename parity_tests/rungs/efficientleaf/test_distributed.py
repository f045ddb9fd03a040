"""Two processes that see other audio and average their gradients: the same weights, plans and bits in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from efficientleaf import GroupedGaborFilterbank, ToleranceFilterbank
from leaf import GaborFilterbank
from parity.checks.tolerance import TOLERANCES
from parity.criteria import Exactly, OfMax

STEPS, RANKS, RATE = 3, 2, 1e-3
ROUNDED = OfMax(1e-5, "a sum of two gradients in another order, over three steps in float32")


def banks() -> nn.ModuleDict:
    """Of every kind that keeps something between calls."""
    return nn.ModuleDict({
        "leaf": GaborFilterbank(6, 60.0, 7800.0, 16000, 401, 401, 160),
        "grouped": GroupedGaborFilterbank(6, 2, 60.0, 7800.0, 16000, 401, 160),
        "tolerance": ToleranceFilterbank(6, 60.0, 7800.0, 16000, 401, 160, tolerance=TOLERANCES[1]),
    })  # fmt: skip


def loss(bank: nn.Module, rank: int, step: int) -> torch.Tensor:
    """Of one rank's audio in one step."""
    rng = np.random.default_rng([rank, step])
    x = torch.from_numpy(rng.uniform(-1, 1, (2, 1500 + 400 * rank)).astype(np.float32))
    energies: torch.Tensor = bank(x)
    return (energies + 1e-3).log().mean()


def train(rank: int, folder: str) -> None:
    """One process of the two."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=RANKS)
    modules = banks()
    for name, bank in modules.items():
        wrapped = nn.parallel.DistributedDataParallel(bank)
        optimizer = torch.optim.Adam(bank.parameters(), RATE)
        for step in range(STEPS):
            optimizer.zero_grad()
            loss(wrapped, rank, step).backward()
            optimizer.step()
        torch.save(bank.state_dict(), f"{folder}/{name}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(train, (str(folder),), RANKS)
    return folder


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch is built without torch.distributed")
@pytest.mark.parametrize("name", list(banks()))
def test_ranks_stay_together(trained, name):
    first, second = (torch.load(trained / f"{name}-{rank}.pt", weights_only=True) for rank in range(RANKS))
    for key, value in first.items():
        assert Exactly("one sum of gradients for both")(value.numpy(), second[key].numpy()).passes


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch is built without torch.distributed")
@pytest.mark.parametrize("name", list(banks()))
def test_ranks_learn_from_the_mean_of_their_gradients(trained, name):
    alone = banks()[name]
    optimizer = torch.optim.Adam(alone.parameters(), RATE)
    for step in range(STEPS):
        optimizer.zero_grad()
        (sum(loss(alone, rank, step) for rank in range(RANKS)) / RANKS).backward()
        optimizer.step()
    found = torch.load(trained / f"{name}-0.pt", weights_only=True)
    for key, value in alone.state_dict().items():
        assert ROUNDED(found[key].numpy(), value.numpy()).passes
