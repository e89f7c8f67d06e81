"""The embedded data set: parametric faces with attributes and label maps, at any resolution, with no download."""

from anycost.data.faces.attributes import ATTRIBUTE_NAMES
from anycost.data.faces.canvas import LABEL_NAMES
from anycost.data.faces.source import FaceSource

__all__ = ["ATTRIBUTE_NAMES", "LABEL_NAMES", "FaceSource"]
