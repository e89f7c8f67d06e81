"""What `trainer.precision=auto` means on this machine."""

from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed", "64-true"]


def has_fast_bf16(cuda: bool) -> bool:
    """Whether bf16 is in hardware: without it, bf16 on a CPU is several times slower than fp32."""
    if cuda:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolve_precision(name: str, cuda: bool) -> Precision:
    """`auto`, `32`, `bf16-mixed` or `64` -> Lightning's name."""
    if name == "auto":
        return "bf16-mixed" if has_fast_bf16(cuda) else "32-true"
    return {"32": "32-true", "64": "64-true", "bf16-mixed": "bf16-mixed"}[name]  # type: ignore[return-value]
