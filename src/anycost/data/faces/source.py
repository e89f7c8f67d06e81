"""`FaceSource`: the embedded data set as a source of pictures, attributes and label maps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from anycost.data.faces.attributes import attribute_labels
from anycost.data.faces.canvas import Canvas, ColourCanvas, LabelCanvas
from anycost.data.faces.parameters import Parameters, draw_parameters
from anycost.data.faces.portrait import RENDERER_VERSION, paint_portraits
from anycost.errors import UserError

RESOLUTIONS = (16, 32, 64, 128, 256, 512, 1024)
CHUNK_PIXELS = 2**17  # what is painted at once: planes of 512 kB stay in the cache of a core


class FaceSource:
    """`size` faces. Picture i is a pure function of (seed, i), to the bit, in whatever batch it is drawn.

    Pictures are painted on one thread of the calling process; loader workers paint in parallel.
    """

    def __init__(self, size: int = 70000, seed: int = 0) -> None:
        if size < 1:
            raise UserError(f"data.size={size}: a set of faces needs at least one")
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return self.size

    def parameters(self, indices: Sequence[int]) -> Parameters:
        """The named numbers (`[B]`) and colours (`[B, 3]`) that the pictures are painted from."""
        for index in indices:
            if not 0 <= index < self.size:
                raise UserError(f"picture {index} of the embedded faces does not exist: data.size={self.size}, "
                                f"so indices are 0 to {self.size - 1}")  # fmt: skip
        return draw_parameters(self.seed, torch.tensor(list(indices), dtype=torch.int64))

    def attributes(self, indices: Sequence[int]) -> Tensor:
        """bool `[B, len(ATTRIBUTE_NAMES)]`."""
        return attribute_labels(self.parameters(indices))

    def render(self, indices: Sequence[int], resolution: int) -> Tensor:
        """uint8 `[B, 3, r, r]`, r a power of two from 16 to 1024."""
        return render_parameters(self.parameters(indices), resolution)

    def label_maps(self, indices: Sequence[int], resolution: int) -> Tensor:
        """uint8 `[B, r, r]`: for each pixel the place in `LABEL_NAMES` of what covers it."""
        return label_parameters(self.parameters(indices), resolution)[:, 0]

    def instance_ids(self, indices: Sequence[int], resolution: int) -> Tensor:
        """uint8 `[B, r, r]`: 2 * label, plus 1 for the right one of a pair.

        Right as seen by the viewer; pairs are eyes, brows, ears, earrings and lenses.
        """
        labels, sides = label_parameters(self.parameters(indices), resolution).unbind(1)
        return 2 * labels + sides

    def fingerprint(self) -> str:
        """Names the content: another size, seed or version of the renderer gives another."""
        return f"faces-v{RENDERER_VERSION}-seed{self.seed}-size{self.size}"


def render_parameters(parameters: Parameters, resolution: int) -> Tensor:
    """Pictures uint8 `[B, 3, r, r]` of any parameters, for those who change some."""
    return _in_chunks(ColourCanvas, parameters, resolution)


def label_parameters(parameters: Parameters, resolution: int) -> Tensor:
    """uint8 `[B, 2, r, r]`: the place in `LABEL_NAMES`, and 1 for the right one of a pair, of any parameters."""
    return _in_chunks(LabelCanvas, parameters, resolution)


def _in_chunks(kind: type[Canvas], parameters: Parameters, resolution: int) -> Tensor:
    """The canvases' data as uint8 `[B, channels, r, r]`, painted a few pictures at a time."""
    if resolution not in RESOLUTIONS:
        choices = ", ".join(map(str, RESOLUTIONS))
        raise UserError(f"data.resolution={resolution}: the embedded faces are drawn at {choices}")
    count = len(parameters["age"])
    step = max(1, CHUNK_PIXELS // resolution**2)
    channels = 3 if kind is ColourCanvas else 2
    out = torch.empty(count, channels, resolution, resolution, dtype=torch.uint8)
    with _one_thread():
        for start in range(0, count, step):
            rows = slice(start, start + step)
            data = paint_portraits(kind, {name: value[rows] for name, value in parameters.items()}, resolution).data
            if kind is ColourCanvas:
                data = (data * 255 + 0.5).clamp_(0, 255)
            out[rows] = data.transpose(0, 1).to(torch.uint8)
    return out


@contextmanager
def _one_thread() -> Iterator[None]:
    """Painting is many small operations: on busy cores the barriers of several threads cost ten times the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
