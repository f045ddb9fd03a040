"""``load_weights``: a module's parameters from the original's variables, a file of them, or another rung's module."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.adapters import layouts
from parity.adapters.canonical import RNN_KERNEL, RNN_RECURRENT, checked
from parity.adapters.refusals import SIMPLIFIED, same_function
from parity.weights.filters import class_of, require_same_filters
from parity.weights.finding import frontend_of, part_of
from parity.weights.meaning import ORIGINAL, Facts, facts_of, warn_of_differences
from parity.weights.own import load_own, same_class, same_form

if TYPE_CHECKING:
    from parity.adapters.rungs import Rung
    from parity.weights.checkpoints import Contents


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
              the published ports that they follow;
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
        TypeError: the module belongs to no rung, or a value of a mapping is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the filters are certain to be of
            another class, whose variables have the same shapes; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read, has more
            values than a frontend of this module's size, or holds several frontends or none where ``scope`` says (the
            message lists those that there are).
    """
    rung, module = frontend_of(module)
    if not isinstance(source, (str, os.PathLike, Mapping)):
        return _from_module(rung, module, source, scope)
    try:
        _from_contents(rung, module, contents_of(source), scope)
    except (TypeError, ValueError) as error:  # a mapping's values are the caller's, a file's are the file's
        if isinstance(source, Mapping) or (name := repr(os.fspath(source))) in str(error):
            raise
        raise ValueError(f"source={name}: {error}") from error


def _from_contents(rung: Rung, module: Any, contents: Contents, scope: str | None) -> None:
    adapter = rung.load_adapter()
    where = contents.chosen(scope)
    found = contents.names(where)
    known, origin = _facts(contents, hints := contents.hints(where))
    if layouts.is_simplified(found) and rung.name in SIMPLIFIED:
        held = contents.held(where, _most(tuple(t.shape) for t in module.state_dict().values()))
        if same_form(module, held):
            load_own(module, held)
            return warn_of_differences(known, facts_of(rung.name, module), origin, 4)
    wanted = adapter.shapes(module)
    variables = contents.variables(where, _most(wanted.values()))
    if layouts.is_state_dict(found):
        # the published port keeps its fixed smoother as an argument, and in no state dict: so is ours kept
        for name in {RNN_KERNEL, RNN_RECURRENT} & set(wanted) - set(variables):
            variables[name] = adapter.read(module)[name]
    variables = checked(variables, wanted)
    require_same_filters(rung.name, module, variables, hints)
    _write(rung, module, hints.get("rung", "original"), variables)
    if variables:
        warn_of_differences(known, facts_of(rung.name, module), origin, 4)


def _facts(contents: Contents, hints: Mapping[str, str]) -> tuple[Facts, str]:
    """What a source says, or is certain, beside its variables; and what it is."""
    from parity.weights import stored

    if contents.path.suffix == stored.SUFFIX and contents.path.is_file() and (about := stored.described(contents.path)):
        config, original = about.config, about.rung == "og_leaf"
        facts: Facts = {name: float(getattr(config, name)) for name in ("sample_rate", "window_len", "window_stride")}
        pcen = {"eps": config.pcen_floor} if "pcen" in config.compression else {}
        facts |= {**pcen, **ORIGINAL, "padding": "same" if original else about.padding}
        return {**facts, "wrap": about.options.get("wrap", False)}, "the source"
    if hints.get("rung") == "leaf":  # which a module of leaf was built for, as with load_state_dict
        return {}, "a state dict of leaf"
    return ORIGINAL, "TensorFlow's LEAF"


def _from_module(rung: Rung, module: Any, source: Any, scope: str | None) -> None:
    from parity.weights.checkpoints.contents import plain

    other, source = frontend_of(source if scope is None else part_of(source, scope))
    if same_class(module, source):
        load_own(module, {name: plain(tensor) for name, tensor in source.state_dict().items()})
        return warn_of_differences(
            facts_of(other.name, source), facts_of(rung.name, module), "the source", stacklevel=4
        )
    adapter = rung.load_adapter()
    variables = checked(other.load_adapter().read(source), adapter.shapes(module))
    hints = {"conv1d_cls": known} if (known := class_of(other.name, source)) else {}
    require_same_filters(rung.name, module, variables, hints)
    _write(rung, module, other.name, variables)
    if variables:
        warn_of_differences(facts_of(other.name, source), facts_of(rung.name, module), "the source", 4)


def _write(rung: Rung, module: Any, origin: str, variables: dict[str, Any]) -> None:
    adapter = rung.load_adapter()
    simplified = rung.name in SIMPLIFIED or origin in SIMPLIFIED
    window = adapter.config(module).window if simplified else 0
    adapter.write(module, same_function(origin, rung.name, variables, window))


def _most(shapes: Iterable[tuple[int, ...]]) -> int:
    """How many values a source may have where the module needs these: enough to say what is wrong with others."""
    return max(1 << 20, 4 * sum(math.prod(shape) for shape in shapes))


def contents_of(source: Mapping[str, Any] | str | os.PathLike[str]) -> Contents:
    """A file or a mapping, opened; of dicts in a mapping, as training scripts save them, the names are joined.

    Raises:
        ModuleNotFoundError, ValueError: as :func:`parity.weights.checkpoints.open_file`.
    """
    from parity.weights.checkpoints import Mapped, open_file
    from parity.weights.checkpoints.contents import flat

    if isinstance(source, Mapping):
        return Mapped(Path("the mapping"), dict(flat(source)))
    return open_file(Path(source))
