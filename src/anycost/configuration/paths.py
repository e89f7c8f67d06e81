"""Where the YAML files lie: in a source tree, or inside the installed package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def config_home() -> Path:
    """The folder that holds `conf/` and `experiments/`: the source tree where there is one, else the wheel's copy."""
    source_tree = PACKAGE.parents[1]
    if (source_tree / "conf" / "train.yaml").is_file():
        return source_tree
    return PACKAGE / "_shipped"


def config_groups() -> dict[str, list[str]]:
    """The options of every group, `{"stage": ["ada_ch", ...], "experiments": ["official/ada_ch", ...], ...}`."""
    home = config_home()
    own = [folder for folder in sorted((home / "conf").iterdir()) if folder.is_dir()]
    groups = {folder.name: folder for folder in own if folder.name not in ("local", "hydra")}
    groups |= {"hydra/launcher": home / "conf/hydra/launcher", "experiments": home / "experiments"}
    return {
        name: sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))
        for name, folder in groups.items()
    }
