"""``load_weights``: a module's parameters from the original's variables, a file of them, or another rung's module.

First how a frontend is found inside a model, and how a state dict of a module's own names is set; then the rest.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import layouts
from parity.adapters.canonical import RNN_KERNEL, RNN_RECURRENT, Variables, checked, require_finite, require_fit
from parity.adapters.public import PUBLIC
from parity.adapters.refusals import SIMPLIFIED, same_function
from parity.adapters.rungs import Rung, rung_of
from parity.weights import stored
from parity.weights.inferring import (
    CENTERED,
    ORIGINAL,
    Facts,
    class_of,
    facts_of,
    require_same_filters,
    warn_of_differences,
)
from parity.weights.outputs import shown

if TYPE_CHECKING:
    from torch import nn

    from parity.weights.checkpoints.contents import Contents

# what computes the same with the module that this attribute holds: torch.compile's and the two for several devices
WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def frontend_of(module: Any) -> tuple[Rung, Any]:
    """A frontend's rung and itself, without what ``torch.compile`` or PyTorch's data parallelism puts around it.

    Raises:
        TypeError: it belongs to no rung; where it is a PyTorch module that holds some that do, says where.
    """
    while (inside := WRAPPERS.get(type(module).__name__)) and hasattr(module, inside):
        module = getattr(module, inside)
    try:
        return rung_of(module), module
    except TypeError as error:
        found = _frontends_in(module) if hasattr(module, "named_modules") and not isinstance(module, type) else []
        if not found:
            raise
        raise TypeError(
            f"{error}; it holds frontends at {found}: give one, module.get_submodule({found[0]!r})"
        ) from None


def part_of(module: Any, scope: str) -> Any:
    """The part of a PyTorch or Keras model that a path of attributes, indices or layers' names leads to.

    Raises:
        ValueError: there is no such part; names where frontends are.
    """
    part = module
    for name in re.split("[/.]", scope.strip("/")) if scope.strip("/") else ():
        while (inside := WRAPPERS.get(type(part).__name__)) and hasattr(part, inside) and name != inside:
            part = getattr(part, inside)
        part = _child(part, name)
        if part is None:
            found = [at.replace(".", "/") for at in _frontends_in(module)]
            raise ValueError(
                f"scope={scope!r}: {type(module).__qualname__} has no part {name!r} there; "
                f"frontends are at {found or 'none that can be told'}"
            )
    return part


def _child(part: Any, name: str) -> Any:
    """An attribute that is a module or a layer, an element of a list of them, or the layer of a name; None for none."""
    own = getattr(part, "_modules", {}).get(name) or getattr(part, name, None)
    if own is None and name.isdigit() and isinstance(part, (list, tuple)) and int(name) < len(part):
        own = part[int(name)]
    if own is None:
        own = next((layer for layer in getattr(part, "layers", ()) if getattr(layer, "name", None) == name), None)
    return own


def _frontends_in(module: Any) -> list[str]:
    """Where a PyTorch or Keras model holds frontends, by their dotted paths or layers' names."""
    layers = ((layer.name, layer) for layer in getattr(module, "layers", ()))
    found = []
    for name, part in module.named_modules() if hasattr(module, "named_modules") else layers:
        try:
            rung_of(part)
        except TypeError:
            continue
        found.append(name)
    return [name for name in found if name]


def load_own(module: nn.Module, held: Mapping[str, NDArray[Any]]) -> None:
    """Set every tensor of a module from a state dict of its names; all of them or none.

    Raises:
        TypeError: a value is no array of real numbers.
        ValueError: a name is missing or not expected, or a value is misshapen, NaN, infinite or too large; names it.
    """
    import torch

    own = module.state_dict(keep_vars=True)
    missing, extra = sorted(set(own) - set(held)), sorted(set(held) - set(own))
    if missing or extra:
        raise ValueError(
            f"variables do not match the module: missing {missing or 'none'}, not expected {extra or 'none'}; "
            f"allowed are {sorted(own)}"
        )
    for name, tensor in own.items():
        array = held[name]
        require_finite(name, array)
        if array.shape != tuple(tensor.shape):
            raise ValueError(f"variable {name!r}: shape {array.shape}, must be {tuple(tensor.shape)}")
        if tensor.is_floating_point():
            require_fit(name, array, str(tensor.dtype).removeprefix("torch."))
        elif array.dtype.kind not in "iu":
            raise TypeError(f"variable {name!r}: must be integers, got dtype {array.dtype}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(np.array(held[name])))


def load_weights(
    module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any, *, scope: str | None = None
) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a frontend of ``tf_leaf`` or ``og_leaf``, a ``leaf.Leaf`` or an ``efficientleaf.EfficientLeaf`` (the
            last two with PCEN, or with the compression that the source has); also as ``torch.compile`` returns it.
        source: one of

            - a mapping of the original's variable names (``kernel:0``, ``leaf/PCEN/alpha:0``, ...; the prefix and
              ``:0`` are optional) to real arrays, or a state dict of ``og_leaf``, ``leaf``, ``efficientleaf`` or of
              the published ports that they follow, or of denfed/leaf-audio-pytorch, SarthakYadav/leaf-pytorch or
              SpeechBrain, where their bias on the energies is 0;
            - the path of a file: the prefix of a TensorFlow checkpoint, object-based or by names, or a folder that
              holds one (a SavedModel); a Keras ``.h5``, ``.weights.h5`` or ``.keras`` file; an ``.npz`` or
              ``.safetensors`` file of such a mapping; a state dict (``.pt``, ``.pth``). None needs TensorFlow, none
              is unpickled;
            - another rung's module, whose configuration must hold the same variables. Values that their source limits
              in its forward pass, and the module does not, are carried as the limit.
        scope: where in the source the frontend stands, ``my_model/leaf``: the path of attributes (a checkpoint or a
            module), of layers (Keras), or what names begin with; what is elsewhere is left alone. Without it, a
            checkpoint, Keras file or state dict that holds one frontend is taken to mean that one, and anything else
            must be the frontend's to the last variable. Optimiser slots, counters and metrics are never part of one.

    Warns:
        UserWarning: the module has another padding, rate, length or limit of PCEN than the source, so far as this is
            known: the same weights then give other numbers.

    Raises:
        ModuleNotFoundError: a file needs h5py or safetensors, and it is not installed.
        TypeError: the module, or a source that is one, belongs to no rung; or ``scope`` is no text; or a value of a
            mapping is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the filters are certain to be of
            another class, whose variables have the same shapes; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read, has more
            values than a frontend of this module's size, or holds several frontends or none where ``scope`` says (the
            message lists those that there are).
    """
    if not isinstance(scope, (str, type(None))):
        raise TypeError(f"scope={shown(scope)}: must be text, or None")
    rung, module = frontend_of(module)
    if not isinstance(source, (str, os.PathLike, Mapping)):
        known, origin = _from_module(rung, module, source, scope), "the source"
    else:
        try:
            known, origin = _from_contents(rung, module, contents_of(source), scope)
        except (TypeError, ValueError) as error:  # a mapping's values are the caller's, a file's are the file's
            if isinstance(source, Mapping) or (name := repr(os.fspath(source))) in str(error):
                raise
            raise ValueError(f"source={name}: {error}") from error
    warn_of_differences(known, facts_of(rung.name, module), origin, stacklevel=3)


def contents_of(source: Mapping[str, Any] | str | os.PathLike[str]) -> Contents:
    """A file or a mapping, opened; of dicts in a mapping, as training scripts save them, the names are joined."""
    from parity.weights.checkpoints.contents import Mapped, flattened, stored_arrays
    from parity.weights.checkpoints.files import open_file

    if isinstance(source, Mapping):
        return Mapped(Path("the mapping"), stored_arrays(dict(flattened(source))))
    return open_file(Path(source))


def _from_contents(rung: Rung, module: Any, contents: Contents, scope: str | None) -> tuple[Facts, str]:
    """Set a module from a file; what is known of the source beside its variables, and what the source is."""
    adapter, where = rung.load_adapter(), contents.chosen(scope)
    names, hints = contents.names(where), contents.hints(where)
    known, origin = _facts(contents.path, hints)
    if layouts.is_simplified(names) and rung.name in SIMPLIFIED:
        held = contents.held(where, _most(tuple(t.shape) for t in module.state_dict().values()))
        logs = layouts.holds_logarithms(held)
        # logarithms or values of PCEN, as the module holds them; other compressions have one form
        if logs in (None, getattr(module.compression, "learn_logs", logs)):
            load_own(module, held)
            return known, origin
    wanted = adapter.shapes(module)
    variables = contents.variables(where, _most(wanted.values()))
    if layouts.is_state_dict(names):
        # the published port keeps its fixed smoother as an argument, and in no state dict: so is ours kept
        for name in {RNN_KERNEL, RNN_RECURRENT} & set(wanted) - set(variables):
            variables[name] = adapter.read(module)[name]
    variables = _write(rung, module, hints.get("rung", "original"), variables, hints)
    if "port" in hints:  # the taps that it has where the module was built: simplified LEAF makes an even number odd
        known["n_taps"] = adapter.config(module).with_(padding="same").window
    return known if variables else {}, origin


def _facts(path: Path, hints: Mapping[str, str]) -> tuple[Facts, str]:
    """Collect what a source says, or is certain, beside its variables; name the source."""
    if path.suffix == stored.SUFFIX and path.is_file() and (about := stored.described(path)):
        config = about.config
        facts: Facts = {name: float(getattr(config, name)) for name in ("sample_rate", "window_len", "window_stride")}
        pcen = {"eps": config.pcen_floor} if "pcen" in config.compression else {}
        wrap = about.options.get("wrap", False)
        return {**facts, **pcen, **ORIGINAL, "padding": about.padding, "wrap": wrap}, "the source"
    if hints.get("rung") == "leaf":  # which a module of leaf was built for, as with load_state_dict
        return {}, "a state dict of leaf"
    if port := PUBLIC.get(hints.get("port", "")):
        return {**CENTERED, **({} if port.floor is None else {"eps": port.floor})}, port.repository
    return dict(ORIGINAL), "TensorFlow's LEAF"


def _from_module(rung: Rung, module: Any, source: Any, scope: str | None) -> Facts:
    """Set a module from another; what is known of the source beside its variables."""
    from parity.weights.checkpoints.contents import as_array

    try:
        other, source = frontend_of(source if scope is None else part_of(source, scope))
    except TypeError as error:
        raise TypeError(str(error).replace("module=", "source=", 1)) from None
    if _same_tensors(rung, module, other, source):
        load_own(module, {name: as_array(name, tensor) for name, tensor in source.state_dict().items()})
        return facts_of(other.name, source)
    hints = {"conv1d_cls": known} if (known := class_of(other.name, source)) else {}
    variables = _write(rung, module, other.name, other.load_adapter().read(source), hints)
    return facts_of(other.name, source) if variables else {}


def _same_tensors(rung: Rung, module: Any, other: Rung, source: Any) -> bool:
    """Tell whether both are of ``leaf`` or ``efficientleaf`` and have tensors of the same names that mean the same."""
    if not {rung.name, other.name} <= set(SIMPLIFIED):
        return False
    forms = [getattr(frontend.compression, "learn_logs", None) for frontend in (module, source)]
    return forms[0] == forms[1] and set(module.state_dict()) == set(source.state_dict())


def _write(rung: Rung, module: Any, origin: str, source: Mapping[str, Any], hints: Mapping[str, str]) -> Variables:
    """Set a module from variables of a rung, or of the original; returns them by canonical names."""
    adapter = rung.load_adapter()
    variables = checked(source, adapter.shapes(module))
    require_same_filters(rung.name, module, variables, hints)
    simplified = rung.name in SIMPLIFIED or origin in SIMPLIFIED
    window = adapter.config(module).window if simplified else 0
    adapter.write(module, same_function(origin, rung.name, variables, window))
    return variables


def _most(shapes: Iterable[tuple[int, ...]]) -> int:
    """Count the values that a source may have where the module needs these: enough to say what is wrong with others."""
    return max(1 << 20, 4 * sum(math.prod(shape) for shape in shapes))
