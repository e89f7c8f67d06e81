"""Frozen sub-generators for inference: weights sliced, scaled and laid out once; w in, image out."""

from anycost.runtime.dtypes import fastest_dtype
from anycost.runtime.frozen import Cancelled, FrozenGenerator, freeze
from anycost.runtime.portable import PortableGenerator
from anycost.runtime.renderer import Renderer

__all__ = ["Cancelled", "FrozenGenerator", "PortableGenerator", "Renderer", "fastest_dtype", "freeze"]
