"""Others' files, read without running anything in them: `read_foreign` gives plain values and tensors."""

from anycost.interchange.foreign.content import Foreign, Stub
from anycost.interchange.foreign.reading import read_foreign

__all__ = ["Foreign", "Stub", "read_foreign"]
