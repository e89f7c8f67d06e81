"""TensorBoard: event files in the run folder, the x-axis in images seen (needs the extra `tensorboard`)."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from anycost.errors import UserError


class ImagesTensorBoardLogger(TensorBoardLogger):
    """Lightning's logger with `step` = images seen; a continued run hides what lies beyond its checkpoint."""

    def __init__(self, folder: Path | str) -> None:
        if find_spec("tensorboard") is None:
            raise UserError("logger.tensorboard=true needs TensorBoard: pip install 'anycost[tensorboard]'")
        super().__init__(save_dir=str(folder), name="", version="tensorboard", default_hp_metric=False)

    def purge(self, images: int) -> None:
        """Let readers drop the events beyond `images`; call before the first value is logged."""
        self._kwargs["purge_step"] = images + 1

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Image.Image], step: int) -> None:
        """Show pictures under `key` at `step` = images seen."""
        for picture in images:
            self.experiment.add_image(key, np.asarray(picture), step, dataformats="HWC")
