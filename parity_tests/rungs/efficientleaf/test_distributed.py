"""Two processes that see other audio and average their gradients: one batch's gradients, the same plans and bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.torch_version import TorchVersion

from efficientleaf import EfficientLeaf, GroupedGaborFilterbank, ToleranceFilterbank
from experiments.synchronised import synchronise
from leaf import PCEN, GaborFilterbank, Leaf
from og_leaf import Leaf as Original
from parity.checks.tolerance import TOLERANCES
from parity.criteria import Exactly, OfMax, PooledAccuracy, RelativeL2

STEPS, RANKS, RATE = 3, 2, 1e-3
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this PyTorch is built without torch.distributed"
)
SWIFT, N_PLANS = 2.0, 5  # a rate at which sigmas change by samples, and steps at it
PARTS = 2  # of a process's batch, whose gradients are added up before they are averaged
OWN_STATISTICS = RelativeL2(0.6, "a joined batch has other statistics than a part of it: measured up to 0.47")
FSDP = torch.__version__ >= TorchVersion("2.6")  # the first to have fully_shard under a public name
UNEQUAL = (3, 1)  # clips of the ranks, of four in all
ROUNDED = OfMax(1e-5, "a sum of two gradients in another order, over three steps in float32")


def banks() -> nn.ModuleDict:
    """Of every kind that keeps something between calls."""
    return nn.ModuleDict({
        "leaf": GaborFilterbank(6, 60.0, 7800.0, 16000, 401, 401, 160),
        "grouped": GroupedGaborFilterbank(6, 2, 60.0, 7800.0, 16000, 401, 160),
        "tolerance": ToleranceFilterbank(6, 60.0, 7800.0, 16000, 401, 160, tolerance=TOLERANCES[1]),
    })  # fmt: skip


def frontends() -> nn.ModuleDict:
    """Those that are trained; only the last one looks at a whole batch at once."""
    return nn.ModuleDict({
        "og_leaf": Original(n_filters=6),
        "leaf": Leaf(n_filters=6),
        "leaf, logarithms": Leaf(n_filters=6, compression=PCEN(6, 0.04, 0.96, 2.0, 0.5, learn_logs=True)),
        "efficientleaf, pcen": EfficientLeaf(n_filters=6, num_groups=2, compression="pcen"),
        "efficientleaf, tolerance": EfficientLeaf(n_filters=6, compression="pcen", tolerance=TOLERANCES[1]),
        "efficientleaf": EfficientLeaf(n_filters=6, num_groups=2),
    })  # fmt: skip


SYNCHRONISED = "efficientleaf, synchronised"
PCENS = [name for name in frontends() if name != "efficientleaf"]


def audio() -> torch.Tensor:
    """A batch [ranks, parts, clips, samples], every clip of another level."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (RANKS, PARTS, 2, 1600)) * 10.0 ** rng.uniform(-2, 0, (RANKS, PARTS, 2, 1))
    return torch.from_numpy(x.astype(np.float32))


def scalar(y: torch.Tensor) -> torch.Tensor:
    """A loss to which every value contributes another share."""
    weights = torch.linspace(-1, 1, y[0].numel(), dtype=y.dtype).reshape(y[0].shape)
    return (y * weights).sum(tuple(range(1, y.ndim))).mean()


def gradients(frontend: nn.Module, batches: list[torch.Tensor]) -> dict[str, np.ndarray]:
    """Mean over batches, each with the statistics of its own."""
    frontend.zero_grad()
    for x in batches:
        (scalar(frontend(x)) / len(batches)).backward()
    return {name: p.grad.numpy().copy() for name, p in frontend.named_parameters()}


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
    for name, frontend in {**frontends(), SYNCHRONISED: synchronise(frontends()["efficientleaf"])}.items():
        wrapped, (*parts, last) = nn.parallel.DistributedDataParallel(frontend), audio()[rank]
        with wrapped.no_sync():
            for part in parts:
                (scalar(wrapped(part)) / PARTS).backward()
        (scalar(wrapped(last)) / PARTS).backward()
        torch.save({n: p.grad for n, p in frontend.named_parameters()}, f"{folder}/{name}-{rank}-gradients.pt")
    unequal = synchronise(frontends()["efficientleaf"])
    unequal(audio().flatten(0, 2)[: sum(UNEQUAL)].split(UNEQUAL)[rank])
    torch.save(unequal.state_dict(), f"{folder}/statistics-{rank}.pt")
    try:
        synchronise(nn.BatchNorm1d(2))(torch.ones(1 - rank, 2))
    except ValueError as error:
        torch.save(str(error), f"{folder}/refused-{rank}.pt")
    if FSDP:
        shard(rank, folder)
    torch.save(plans(rank), f"{folder}/plans-{rank}.pt")
    torch.distributed.destroy_process_group()


def shard(rank: int, folder: str) -> None:
    """Gradients of front ends whose parameters are cut over the processes, put together."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (RANKS,))
    for name, frontend in frontends().items():
        sharded = fully_shard(frontend, mesh=mesh)
        for number, part in enumerate(audio()[rank]):
            sharded.set_requires_gradient_sync(number == PARTS - 1)
            (scalar(sharded(part)) / PARTS).backward()
        whole = {n: p.grad.full_tensor() for n, p in sharded.named_parameters()}
        torch.save(whole, f"{folder}/{name}-{rank}-sharded.pt")


def plans(rank: int) -> list[list[tuple[tuple[int, ...], int]]]:
    """Before every step of swift training: bands and points of each group."""
    bank = banks()["tolerance"]
    wrapped = nn.parallel.DistributedDataParallel(bank)
    optimizer = torch.optim.SGD([bank.bandwidths], SWIFT)
    found = []
    for step in range(N_PLANS):
        found.append([(group.bands, group.n_points) for group in bank.plan().longest])
        bank.zero_grad()
        (loss(wrapped, rank, step) * (1.0, -0.5)[rank]).backward()  # alone, the ranks would part
        bank.bandwidths.grad.sign_()  # by the rate, whatever its size
        optimizer.step()
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(train, (str(folder),), RANKS)
    return folder


@pytest.mark.parametrize("name", list(banks()))
def test_ranks_stay_together(trained, name):
    first, second = (torch.load(trained / f"{name}-{rank}.pt", weights_only=True) for rank in range(RANKS))
    for key, value in first.items():
        assert Exactly("one sum of gradients for both")(value.numpy(), second[key].numpy()).passes


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


def of_ranks(trained: Path, name: str, kind: str = "gradients") -> dict[str, np.ndarray]:
    """The gradients that both processes hold."""
    first, second = (torch.load(trained / f"{name}-{rank}-{kind}.pt", weights_only=True) for rank in range(RANKS))
    assert all(torch.equal(first[key], second[key]) for key in first)
    return {key: value.numpy() for key, value in first.items()}


def accurate(found: dict[str, np.ndarray], name: str, batches: list[torch.Tensor]) -> bool:
    """Require that gradients err from float64 as little as those of one process do."""
    own = gradients(frontends()[name], batches)
    exact = gradients(frontends()[name].double(), [x.double() for x in batches])
    pooled = PooledAccuracy()
    for key in found:
        pooled.add(found[key], own[key], exact[key])
    return pooled.n_arrays == len(found) and pooled.verdict().passes


@pytest.mark.parametrize("name", PCENS)
def test_gradients_are_those_of_the_joined_batch(trained, name):
    assert accurate(of_ranks(trained, name), name, [audio().flatten(0, 2)])


def test_temporal_batch_normalisation_has_the_statistics_of_each_process_and_part(trained):
    found = of_ranks(trained, "efficientleaf")
    assert accurate(found, "efficientleaf", list(audio().flatten(0, 1)))
    joined = gradients(frontends()["efficientleaf"], [audio().flatten(0, 2)])
    assert not accurate(found, "efficientleaf", [audio().flatten(0, 2)])
    apart = [OWN_STATISTICS(found[key], joined[key]) for key in found]
    assert all(verdict.passes for verdict in apart)


@pytest.mark.skipif(not FSDP, reason="this PyTorch has no fully_shard")
@pytest.mark.parametrize("name", PCENS)
def test_gradients_of_sharded_parameters_are_those_of_the_joined_batch(trained, name):
    assert accurate(of_ranks(trained, name, "sharded"), name, [audio().flatten(0, 2)])


def test_synchronised_statistics_give_the_gradients_of_the_joined_batch(trained):
    joined = [audio()[:, part].flatten(0, 1) for part in range(PARTS)]
    assert accurate(of_ranks(trained, SYNCHRONISED), "efficientleaf", joined)


def test_synchronised_statistics_are_those_of_all_clips_where_ranks_have_other_numbers_of_them(trained):
    alone = frontends()["efficientleaf"]
    alone(audio().flatten(0, 2)[: sum(UNEQUAL)])
    for rank in range(RANKS):
        found = torch.load(trained / f"statistics-{rank}.pt", weights_only=True)
        assert list(found) == list(alone.state_dict())
        assert all(ROUNDED(found[key].numpy(), value.numpy()).passes for key, value in alone.state_dict().items())


@pytest.mark.parametrize("rank", range(RANKS))
def test_synchronised_statistics_of_a_single_value_are_refused_by_every_rank(trained, rank):
    said = torch.load(trained / f"refused-{rank}.pt", weights_only=True)
    assert said == "x: must have at least 2 values a channel in all processes together, has 1"


def test_synchronised_statistics_of_one_process_are_its_own():
    alone, other = frontends()["efficientleaf"], synchronise(frontends()["efficientleaf"])
    parameters = {id(p) for p in other.parameters()}
    assert parameters == {id(p) for p in synchronise(other).parameters()}
    x = audio().flatten(0, 2)
    for mode in (True, False):
        found, expected = (module.train(mode)(x).detach().numpy() for module in (other, alone))
        assert Exactly("no other process")(found, expected).passes


def test_a_plan_changes_in_the_same_step_of_both_ranks(trained):
    first, second = (torch.load(trained / f"plans-{rank}.pt", weights_only=True) for rank in range(RANKS))
    assert first == second
    assert len({repr(plan) for plan in first}) > 1
