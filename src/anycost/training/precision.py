"""What `trainer.precision=auto` means on this machine."""

from typing import Literal

from anycost.runtime.dtypes import has_fast_bf16

Precision = Literal["32-true", "bf16-mixed", "64-true"]


def resolve_precision(name: str, cuda: bool) -> Precision:
    """`auto`, `32`, `bf16-mixed` or `64` -> Lightning's name."""
    if name == "auto":
        return "bf16-mixed" if has_fast_bf16(cuda) else "32-true"
    return {"32": "32-true", "64": "64-true", "bf16-mixed": "bf16-mixed"}[name]  # type: ignore[return-value]
