"""From tensors under another program's names to those of our networks, complete and of the right shapes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anycost.errors import UserError
from anycost.interchange.header import shown
from anycost.networks.ops import fir_kernel

Change = Callable[[Tensor], Tensor]


def same(tensor: Tensor) -> Tensor:
    """The change of a tensor that both sides lay out alike."""
    return tensor


@dataclass(frozen=True)
class Rule:
    """Our tensor `ours` is `change` of the file's tensor `theirs`."""

    ours: str
    theirs: str
    change: Change = same


@dataclass(frozen=True)
class Part:
    """A network in our names.

    `sources` says where each tensor came from, for messages; `differs` what ours computes in another way, in words.
    """

    tensors: dict[str, Tensor]
    sources: dict[str, str]
    differs: tuple[str, ...] = ()

    def size(self, name: str, dimension: int) -> int:
        """One size of the tensor `name`; `UserError` where it has no such dimension."""
        shape = self.tensors[name].shape
        if dimension >= len(shape):
            raise UserError(f"{self.sources[name]} has the shape {list(shape)}: a dimension is missing")
        return shape[dimension]


def assemble(source: Mapping[str, Any], rules: Sequence[Rule], ignored: Collection[str] = ()) -> Part:
    """All tensors that `rules` ask for.

    `ignored` are names of `source` that may be left. Raises `UserError` that names what is missing, what is unknown,
    and what is no tensor of finite numbers.
    """
    wanted = {rule.theirs for rule in rules}
    missing = [rule.theirs for rule in rules if rule.theirs not in source]
    unknown = [str(name) for name in source if name not in wanted and name not in ignored]
    if missing:
        raise UserError(f"{_some(missing)} missing" + (f", {_some(unknown)} not known" if unknown else ""))
    if unknown:
        raise UserError(f"{_some(unknown)} not known: a part of another network, or of a variant that is not supported")
    tensors = {rule.ours: _changed(rule, source[rule.theirs]) for rule in rules}
    return Part(tensors, {rule.ours: rule.theirs for rule in rules})


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} others" if len(names) > 3 else ""
    return f"{', '.join(shown(name) for name in names[:3])}{more} {'is' if len(names) == 1 else 'are'}"


def _changed(rule: Rule, value: Any) -> Tensor:
    tensor = floats(value, rule.theirs)
    try:
        return rule.change(tensor)
    except (RuntimeError, IndexError) as error:
        raise UserError(f"{rule.theirs} has the shape {list(tensor.shape)}, which does not fit") from error


def floats(value: Any, name: str) -> Tensor:
    """`value` as a tensor of finite real numbers: float64 stays, all others become float32, as does a single number.

    Raises `UserError` that calls it `name` where it is something else, or empty.
    """
    tensor = torch.tensor(value) if isinstance(value, float) else value
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or not tensor.numel():
        what = f"{tensor.dtype} {list(tensor.shape)}" if isinstance(tensor, Tensor) else type(value).__name__
        raise UserError(f"{shown(name)} is not a tensor of real numbers ({what})")
    tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
    if not torch.isfinite(tensor).all():
        raise UserError(f"{shown(name)} holds values that are not finite")
    return tensor


def check_shapes(part: Part, network: nn.Module) -> None:
    """Compare `part` with the state of `network`, whose weights are not needed; `UserError` where they differ."""
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    other = sorted(expected.keys() ^ part.tensors.keys())
    if other:
        raise UserError(f"its layers are not those that the generator's resolution needs: {_some(other)} in one alone")
    wrong = [name for name, tensor in part.tensors.items() if tensor.shape != expected[name]]
    if wrong:
        name = wrong[0]
        raise UserError(
            f"{part.sources[name]} does not fit the other layers: it gives {list(part.tensors[name].shape)} where "
            f"{list(expected[name])} is needed ({len(wrong)} such tensors)"
        )


def is_plain(value: Any, wanted: Any) -> bool:
    """Whether an option out of a file is `wanted`; tensors and other things than plain values are not."""
    if isinstance(wanted, list):
        listed = list(value) if isinstance(value, list | tuple) else []
        return len(listed) == len(wanted) and all(map(is_plain, listed, wanted))
    return isinstance(value, str | int | float | None) and value == wanted


def deviation_differs(value: Any, name: str) -> tuple[str, ...]:
    """What a minibatch deviation over groups of `value` differs in from ours, over 4; None: the whole batch.

    No weight depends on it. `UserError` where `value` is no size of a group.
    """
    if is_plain(value, None):
        return ("minibatch deviation over groups of 4 instead of the whole batch",)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**20:
        raise UserError(f"{name}={shown(value)} is no size of a group of pictures")
    return () if value == 4 else (f"minibatch deviation over groups of 4 instead of {value}",)


def check_filter(value: Any, name: str, total: float) -> None:
    """`UserError` unless `value` is the filter [1, 3, 3, 1] with sum `total`: ours have no other."""
    kernel = floats(value, name)
    if kernel.shape != (4, 4) or not torch.allclose(kernel.float(), fir_kernel() * total, atol=1e-4):
        raise UserError(f"{name} is not the filter [1, 3, 3, 1] with sum {total:g}: other filters are not supported")
