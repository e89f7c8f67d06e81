"""Files without pickles: arrays of numpy, safetensors and JSON."""

import json
import re
from math import isfinite
from struct import unpack
from typing import Any

from safetensors.torch import load
from torch import Tensor

from anycost.interchange.foreign.limits import Limits, Refusal, shown
from anycost.interchange.foreign.tensors import from_array, number_type

_LARGEST_JSON = 1 << 20  # architectures and lists of seeds take kilobytes
_LARGEST_HEADER = 1 << 21  # of safetensors; a tensor takes some hundred bytes
_ARRAY = re.compile(
    r"\{'descr': '([<>|=])(\w{1,9})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\),? ?\}\s*"
)


def read_npy(content: bytes, limits: Limits) -> Tensor:
    """The tensor of an `.npy` file of numbers. The header, a Python literal, is matched and not evaluated."""
    if content[6] == 1:
        start = 10 + unpack("<H", content[8:10])[0]
        header = content[10:start]
    else:
        start = 12 + unpack("<I", content[8:12])[0]
        header = content[12:start]
    if len(header) > 10_000 or start > len(content):
        raise Refusal("is an .npy file with an unfit header")
    match = _ARRAY.fullmatch(header.decode("latin1"))
    if not match:
        raise Refusal("is an .npy file of records, or with a damaged header; plain arrays of numbers are read")
    order, code, fortran, shape = match.groups()
    sizes = tuple(int(size) for size in shape.replace(",", " ").split())
    return from_array(limits, memoryview(content)[start:], number_type(code, order), sizes, fortran == "True")


def is_safetensors(content: bytes) -> bool:
    """A header's length, then its JSON."""
    return len(content) > 9 and content[8:9] == b"{" and unpack("<Q", content[:8])[0] <= len(content) - 8


def read_safetensors(content: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the text entries of the header; damaged files raise safetensors' errors."""
    (length,) = unpack("<Q", content[:8])
    if length > _LARGEST_HEADER:
        raise Refusal(f"has a header of {length} bytes")
    tensors = load(content)
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    return tensors, metadata


def read_json(content: bytes) -> Any:
    """The value of a JSON file, in which all numbers are finite."""
    if len(content) > _LARGEST_JSON:
        raise Refusal(f"is a text of {len(content)} bytes; JSON files of architectures have kilobytes")
    return json.loads(content, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise Refusal(f"has a number, {shown(text)}, that is not finite")
    return number


def is_json(content: bytes) -> bool:
    """Starts as an object or an array does, after space."""
    return content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
