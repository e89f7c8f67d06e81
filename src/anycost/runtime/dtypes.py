"""Which dtype is the fastest on a device."""

import torch

from anycost.errors import UserError

NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def has_fast_bf16(cuda: bool) -> bool:
    """Whether bf16 is in hardware: without it, bf16 on a CPU is several times slower than fp32."""
    if cuda:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def fastest_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """bfloat16 where the device computes in it (AVX512-BF16, AMX, a GPU of 2020 or later), else float32."""
    return torch.bfloat16 if has_fast_bf16(torch.device(device).type == "cuda") else torch.float32


def resolve_dtype(dtype: torch.dtype | str, device: torch.device) -> torch.dtype:
    """`"auto"`, a name such as `"bfloat16"`, or a dtype -> a dtype that convolutions on `device` run in."""
    if dtype == "auto":
        return fastest_dtype(device)
    found = NAMES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in NAMES.values():
        raise UserError(f"dtype={dtype} is not one of auto, {', '.join(NAMES)}")
    if found == torch.float16 and device.type == "cpu":
        raise UserError("dtype=float16 needs a GPU; use bfloat16 or float32 on the CPU")
    return found
