"""Where the pictures of a data configuration lie, as far as a path tells; imports nothing heavy."""

from pathlib import Path

from anycost.configuration.schema import DataConfig
from anycost.errors import UserError


def picture_path(config: DataConfig) -> Path | None:
    """The path of the pictures, None for those that are drawn; `UserError` where there is nothing at it."""
    if config.kind == "faces":
        return None
    if config.path is None:
        raise UserError(f"data.path is not set: data.kind={config.kind} needs the path of its pictures")
    path = Path(config.path).expanduser()
    if not path.exists():
        raise UserError(f"data.path={config.path} does not exist; {_remedy(config)}")
    return path


def _remedy(config: DataConfig) -> str:
    if config.kind != "zip":
        return f"give the {config.kind} with data.path=PATH"
    crop = "crop=letterbox " if config.padding == "letterbox" else ""
    return (
        "give the archive with data.path=FILE.zip, or make it from your pictures with\n"
        f"  anycost prepare source=FOLDER output={config.path} {crop}resolution={config.resolution}"
    )
