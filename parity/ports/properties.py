"""Hold a port to more than stages and gradients: nothing extra, nothing shared, its start, its training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.adapters import canonical
from parity.adapters.optimizers import trainer
from parity.checks.initial import CONSTANTS, MEASURED, analytic_errors
from parity.checks.training import bound
from parity.checks.training_steps import CASES, CONFIG, ReferenceStep, reference_steps
from parity.criteria import AtMost, peak, unit_roundoff
from parity.oracle import Box, Precision, analytic_init, measured_init, measured_init_margin
from parity.oracle.arrays import Array
from parity.oracle.config import LeafConfig
from parity.oracle.optimizers import PARAMETER
from parity.ports.behaviour import calls, refuses
from parity.ports.diagnosis import Finding, told
from parity.ports.port import STAGES, Port, said

if TYPE_CHECKING:
    from parity.ports.examination import Examination

STARTS = AtMost(64 * unit_roundoff("float32"), "of the value: pi, a logarithm under a root, quotients and products")
PROJECTED = AtMost(4 * unit_roundoff("float32"), "of the value: a limit is a constant of up to four operations")
DECIDED = 2.0**-18  # of the peak: what a bin must be off its threshold for two float32 mel matrices to agree on it
Check = Callable[["Examination"], Iterator[Finding]]
LOW, HIGH = 60.0, 7800.0  # of the rungs' initial band, Hz
MOST_TURNS = 8  # configurations that are tried
N_COMPARED = 2  # steps: the first has no moments to start from
MOVE = 1.0  # of a tensor whose part in the output is asked for


def beside(examination: Examination, checks: Sequence[Check] = ()) -> list[Finding]:
    """Run all checks but that of the start, or those that are given; an exception of the port is a finding."""
    if examination.is_function:
        return []
    found: list[Finding] = []
    for check in checks or (extra, shared, conduct, modes, training):
        try:
            found += check(examination)
        except Exception as error:
            found.append(told(check.__name__, f"could not be looked at: {said(error)}"))
    return found


def extra(examination: Examination) -> Iterator[Finding]:
    """Find trainable parameters that LEAF has not, and buffers that a forward in training changes."""
    module, port = _fresh(examination), examination.port
    held = dict(module.inner.named_parameters())
    for name in examination.adapter.not_carried(module):
        if name in port.extra or not held[name].requires_grad:
            continue
        change = influence(examination, module, held[name])
        does = (
            f"moved by {MOVE:g}, it changes the output by {change:.2g} of its largest value"
            if change
            else "it has no part in the output"
        )
        text = f"{name} {list(held[name].shape)} is trainable and LEAF has no such parameter; {does}"
        yield told("parameters", text, name)
    module.train()
    before = {name: _copy(b) for name, b in module.inner.named_buffers()}
    module(_audio(examination))
    after = {name: _copy(b) for name, b in module.inner.named_buffers()}
    for name in before:
        if name not in port.extra and not np.array_equal(before[name], after.get(name, np.empty(0)), equal_nan=True):
            yield told("buffers", f"{name} changes with every forward in training", name)


def constants(examination: Examination) -> list[str]:
    """Find buffers that the output depends on and LEAF has not: constants, which a checkpoint may replace."""
    if examination.is_function:
        return []
    module = _fresh(examination)
    entries = examination.adapter.entries(module)
    mapped = {id(t) for entry in entries.values() for t in entry.tensors}
    unmapped = [(n, b) for n, b in module.inner.named_buffers() if id(b) not in mapped and b.is_floating_point()]
    unmapped += [(n, p) for n, p in module.inner.named_parameters() if id(p) not in mapped and not p.requires_grad]
    return [name for name, tensor in unmapped if influence(examination, module, tensor)]


def influence(examination: Examination, module: Any, tensor: Any) -> float:
    """Measure how far the output moves with a tensor, of its largest value."""
    import torch

    x = _audio(examination)
    with torch.no_grad():
        first = _copy(module(x))
        kept = tensor.clone()
        tensor.add_(MOVE)
        second = _copy(module(x))
        tensor.copy_(kept)
    if first.shape != second.shape or not np.isfinite(second).all():
        return float("inf")
    return peak(second - first) / (peak(first) or 1.0)


def shared(examination: Examination) -> Iterator[Finding]:
    """Find parameters of one instance that are another's as well, at whatever width the port has."""
    import torch

    first, second = _fresh(examination), _fresh(examination)
    pointers = {p.data_ptr(): name for name, p in first.inner.named_parameters() if p.numel()}
    same = [name for name, p in second.inner.named_parameters() if p.data_ptr() in pointers]
    if same:
        yield told("instances", f"every instance has the same {', '.join(same)}: training one moves all")
        return
    x = _audio(examination)
    for turned in (False, True):
        pair = [_fresh(examination), _fresh(examination)]
        moved, other = pair[::-1] if turned else pair
        with torch.no_grad():
            if not np.array_equal(_copy(other(x)), before := _copy(other(x)), equal_nan=True):
                return  # it is another at every call, which is told by itself
            for tensor in [*moved.parameters(), *moved.buffers()]:
                if tensor.is_floating_point():
                    tensor.mul_(2).add_(MOVE)
            moved(x)
            after = _copy(other(x))
        if not np.array_equal(before, after, equal_nan=True):
            yield told("instances", "what is done to one instance changes the output of another")
            return


def conduct(examination: Examination) -> Iterator[Finding]:
    """State, inputs that are changed, and inputs that the rung refuses; what is shared is told by :func:`shared`."""
    failed = [m for m in calls(examination.port, examination.this_test) if not m.holds]
    if failed:
        what = ", ".join(m.case.removeprefix("held: ") for m in failed)
        reason = f" ({failed[-1].reason})" if failed[-1].case == "a call" else _first_to_differ(examination)
        yield told("conduct", f"is no function of its input; not as it was: {what}{reason}")
    for m in (m for m in refuses(examination.port, examination.this_test) if not m.holds):
        if m.criterion == "divergence":
            yield told("refusals", f"accepts={m.case!r} is declared, but the port refuses it")
        else:
            both = f"the port and {examination.port.claims} do not both refuse it"
            yield told("refusals", f"an input with {m.case}: {both}")


def _first_to_differ(examination: Examination) -> str:
    """Say at which stage a second call begins to differ from the first."""
    module, x = _fresh(examination), examination.telling.input()
    first, second = examination.adapter.stages(module, x.copy()), examination.adapter.stages(module, x.copy())
    differ = [n for n in (*STAGES, "output") if n in first and not np.array_equal(first[n], second[n], equal_nan=True)]
    return f"; a second call differs from the first from {differ[0]!r} on" if differ else ""


def modes(examination: Examination) -> Iterator[Finding]:
    """Compare the output in training with that in evaluation, of which LEAF has one."""
    import torch

    module, x = _fresh(examination), _audio(examination)
    with torch.no_grad():
        evaluated, trained = _copy(module.eval()(x)), _copy(module.train()(x))
    if evaluated.shape != trained.shape or not np.array_equal(evaluated, trained, equal_nan=True):
        apart = peak(trained - evaluated) / peak(evaluated) if evaluated.shape == trained.shape else float("inf")
        text = f"the output in training departs from that in evaluation by up to {apart:.2g} of its largest value"
        yield told("modes", text)


def initial(examination: Examination) -> Iterator[Finding]:
    """Compare what a fresh module starts from with the rung's own start."""
    port = examination.port
    if not port.initial:
        return
    wanted = [(40, 16000), *((n, rate) for n, rate in MEASURED if rate in (8000, 22050))]
    done = set()
    for n_filters, rate in wanted:
        config = port.held(LeafConfig(n_filters=n_filters, sample_rate=rate))
        if config in done or not port.holds(config) or config.n_filters < port.groups.get("num_groups", 1):
            continue
        done.add(config)
        read = examination.adapter.read(examination.adapter.build(config))
        where = f" at {config.n_filters} filters, {config.sample_rate} Hz"
        found = list(_kernel(port.claims, config, read[canonical.KERNEL]))
        if found:
            yield told("initial values", f"{'; '.join(found)}{where}", "initial kernel")
        for name, values in read.items():
            start = CONSTANTS.get(name)
            if name == canonical.KERNEL or start is None or name in (canonical.RNN_KERNEL, canonical.RNN_RECURRENT):
                continue
            exact = np.broadcast_to(np.asarray(start, dtype=np.float64), values.shape)
            if not STARTS(peak(values - exact) / peak(exact) if np.any(exact) else peak(values)).passes:
                text = f"{name} starts from {values.flat[0]:.4g}, must be {exact.flat[0]:.4g}"
                found.append(text)
                yield told("initial values", text, f"initial {name}")
        if found:
            return  # one rate shows it


def _kernel(claims: str, config: LeafConfig, got: Array) -> Iterator[str]:
    n, rate = config.n_filters, config.sample_rate
    if claims == "og_leaf":
        exact = measured_init(n)  # of 16 kHz, whatever the rate
        off = np.abs(got / np.where(exact == 0, 1, exact) - 1) > STARTS.limit
        off &= (measured_init_margin(n) > DECIDED)[:, np.newaxis]
    else:
        exact = analytic_init(n, rate, LOW, min(HIGH, rate / 2))
        off = np.abs(got - exact) > analytic_errors(n, rate, Precision.of("float32"))
    causes = _causes(claims, config, got) if np.any(off) else ("", "")
    for column, name, unit in ((0, "centres", " rad/sample"), (1, "sigmas", "")):
        bad = off[:, column]
        if np.any(bad):
            apart = np.abs(got[:, column] - exact[:, column])
            c = int(np.argmax(np.where(bad, apart / np.abs(exact[:, column]), 0)))
            percent = f"{100 * np.abs(got[bad, 1] / exact[bad, 1] - 1).max():.2g} %"
            size = f"{apart[bad].max():.2g}{unit}" if unit else percent
            yield (
                f"{int(bad.sum())} of {n} initial {name} off by up to {size} "
                f"(kernel[{c}, {column}] is {got[c, column]:.5g}, must be {exact[c, column]:.5g})"
                f"{causes[column]}"
            )


def _causes(claims: str, config: LeafConfig, got: Array) -> tuple[str, str]:
    """Another band, rate or kind of triangles, if the initial centres, or sigmas as well, are those of one."""
    n, rate = config.n_filters, config.sample_rate
    bands = {
        "": (16000, LOW, HIGH) if claims == "og_leaf" else (rate, LOW, min(HIGH, rate / 2)),
        "up to half of the sample rate": (rate, LOW, rate / 2),
        "from 0 to half of the sample rate": (rate, 0.0, rate / 2),
        f"of {rate} Hz, not of 16000": (rate, LOW, min(HIGH, rate / 2)),
        f"of {rate} Hz, not of 16000, beyond half of that": (rate, LOW, HIGH),
    }
    for text, band in bands.items():
        of_band = f": centres are those of a band {text}" if text else ""
        theirs = measured_init(n, *band) if claims == "og_leaf" else analytic_init(n, *band)
        if np.abs(got[:, 0] - theirs[:, 0]).max() > STARTS.limit * np.pi:
            continue
        in_hertz = measured_init(n, *band, in_hertz=True)
        if claims == "og_leaf" and np.abs(got[:, 1] / in_hertz[:, 1] - 1).max() <= STARTS.limit:
            return of_band, ": sigmas are those of mel triangles that are linear in hertz, not in mel"
        return of_band, ""
    return "", ""


def training(examination: Examination) -> Iterator[Finding]:
    """Take steps of Adam as the rungs take them, and bring back what left its limits, as Keras does after each.

    Parameters and moments after a step are held to the bounds of the rungs' own steps; where stages or gradients
    depart, a step departs with them and says nothing.
    """
    port = examination.port
    yield from _edited(examination)
    departs = any(p for p in examination.pairs.values()) or any(
        not s.holds for found in examination.slopes.values() for s in found
    )
    if not (departs or port.logs or port.claims == "efficientleaf"):
        yield from list(_steps(examination))[:1]
    if port.step is None:
        return
    case = replace(examination.telling, weights="outside")
    module, variables = examination.adapter.build(case.config), case.variables()
    examination.adapter.write(module, dict(variables))
    port.step(module.inner)
    after = examination.adapter.read(module)[canonical.KERNEL]
    wanted = _limited(case.config, variables[canonical.KERNEL])
    apart = np.abs(after - wanted)
    if not PROJECTED(float((apart / np.maximum(wanted, unit_roundoff("float32"))).max())).passes:
        index = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
        text = f"kernel{list(index)} is {after[index]:.5g}, must be {wanted[index]:.5g}"
        yield told("training step", f"mu and sigma are not brought back into their limits: {text}")


def _steps(examination: Examination) -> Iterator[Finding]:
    """Hold each of a few steps from the reference's parameters and moments to the reference's own."""
    port, adapter = examination.port, examination.adapter
    for ref in _reference_steps(port)[:N_COMPARED]:
        module = adapter.build(ref.config)
        taken = trainer(adapter, module, ref.rule)
        taken.load(ref.start)
        taken.step(*ref.batch)
        if port.step is not None:
            port.step(module.inner)
        after, examination.stepped = taken.state(), True
        for variable in (name for name in ref.gradient if name in after.variables):
            for key, limit in bound(ref, variable, "float32", False, port.claims).items():
                got, wanted = after.values(variable, key), ref.end.values(variable, key)
                far = np.abs(got.astype(np.float64) - wanted)
                if np.all(far <= limit):
                    continue
                at = tuple(int(i) for i in np.unravel_index(int((far - limit).argmax()), far.shape))
                what = variable if key == PARAMETER else f"Adam's {key} of {variable}"
                text = f"a step of Adam departs: {what}{list(at)} is {got[at]:.7g}, must be {wanted[at]:.7g}"
                yield told("training step", text)


def _reference_steps(port: Port) -> tuple[ReferenceStep, ...]:
    """Steps of the claimed rung in the first configuration of the port whose steps stay inside of all limits."""
    for turn in range(MOST_TURNS):
        case = replace(CASES[0], config=port.held(CONFIG, turn))
        if port.holds(case.config):
            with suppress(ValueError):  # a window that is too short for the weights of these steps
                return reference_steps(port.claims, case.config.padding, case, "adam")
    return ()


def _edited(examination: Examination) -> Iterator[Finding]:
    """Find parameters that a forward in training changes; efficientleaf's own brings them back so."""
    if examination.port.claims == "efficientleaf":
        return
    case = replace(examination.telling, weights="outside" if examination.port.claims == "og_leaf" else "outside_shared")
    module = examination.adapter.build(case.config)
    examination.adapter.write(module, dict(case.variables()))
    before = examination.adapter.read(module)
    module.train()(_audio(examination))
    after = examination.adapter.read(module)
    if changed := [name for name in before if not np.array_equal(before[name], after[name])]:
        text = f"forward writes what it limits back into {', '.join(changed)}, where an optimiser's step does"
        yield told("training step", text)


def returns(examination: Examination) -> str:
    """Say what becomes of mu and sigma that an update has moved beyond their limits, where no step brings them back."""
    import torch

    if examination.is_function or examination.port.step is not None:
        return ""
    case = replace(examination.telling, weights="outside")
    module, variables = examination.adapter.build(case.config), case.variables()
    examination.adapter.write(module, dict(variables))
    entry = examination.adapter.entries(module)[canonical.KERNEL]
    beyond = variables[canonical.KERNEL] != _limited(case.config, variables[canonical.KERNEL]).astype(np.float32)
    try:
        output = module.train()(_audio(examination))
    except Exception as error:
        return f"with mu and sigma beyond their limits the port raises {type(error).__name__}"
    slopes = torch.autograd.grad(output.sum(), list(entry.tensors), allow_unused=True, materialize_grads=True)
    if np.all(examination.adapter.read(module)[canonical.KERNEL][beyond] != variables[canonical.KERNEL][beyond]):
        return "forward in training brings mu and sigma back into their limits"
    stays = not np.any(entry.gradient(list(slopes))[beyond])
    return f"mu and sigma beyond their limits stay there{', with gradient 0' if stays else ''}; Keras brings them back"


def _limited(config: LeafConfig, kernel: np.ndarray) -> Array:
    box = Box.of_leaf(config.window)
    return np.asarray(np.clip(kernel.astype(np.float64), [0.0, box.sigma_low], [np.pi, box.sigma_high]))


def _fresh(examination: Examination) -> Any:
    return examination.adapter.build(examination.telling.config)


def _audio(examination: Examination) -> Any:
    import torch

    return torch.from_numpy(examination.telling.input())


def _copy(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy())
