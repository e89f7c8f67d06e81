"""The networks of other programs, rebuilt from the description of their layouts.

Weights as those programs name and store them, and what their code computes with these weights. Nothing here uses our
networks or importers.
"""

from . import nvidia, skip, tensorflow
from .common import Shape

__all__ = ["Shape", "nvidia", "skip", "tensorflow"]
