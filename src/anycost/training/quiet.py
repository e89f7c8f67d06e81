"""What Lightning and its libraries say that users cannot act upon stays out of the output."""

import logging
import warnings

_LOGGERS = (
    "pytorch_lightning.utilities.rank_zero",
    "lightning_fabric.utilities.rank_zero",
    "lightning_fabric.utilities.distributed",
)
_WARNINGS = (
    ".*LeafSpec.* is deprecated",  # inside Lightning
    ".*across ranks is zero",  # a run that was killed after its last step makes up for its end alone
    ".*does not have many workers",
    ".*`srun` command is available",  # on a login node, and where a job is one process
)


def quiet_lightning() -> None:
    """Devices found, advertisements, the end of an epoch: all that the configuration and our own lines say already."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
