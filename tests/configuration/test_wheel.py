"""An installed wheel brings `conf/`, `experiments/` and the embedded network with it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is unpacked, which is all that installing a pure wheel does."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True,
                   capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_wheel_composes_its_own_configuration(installed: Path, tmp_path: Path) -> None:
    code = (
        "import anycost, sys; from anycost.configuration.paths import config_home; print(config_home());"
        "from anycost.commands import main; sys.exit(main(sys.argv[1:]))"
    )
    command = ["train", "experiments=official/ada_ch", "--cfg", "job", "--package", "stage.consistency.target"]
    result = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {code}",
                             *command], cwd=tmp_path, capture_output=True, text=True, check=True)
    home, target = result.stdout.split()
    assert Path(home) == installed / "anycost" / "_shipped"
    assert target == "teacher"


@pytest.mark.slow
def test_wheel_holds_every_configuration_file(installed: Path) -> None:
    for folder in ("conf", "experiments"):
        source = {file.relative_to(ROOT) for file in (ROOT / folder).rglob("*.yaml") if "local" not in file.parts}
        shipped = {file.relative_to(installed / "anycost/_shipped")
                   for file in (installed / "anycost/_shipped" / folder).rglob("*.yaml")}
        assert source == shipped != set()


@pytest.mark.slow
def test_wheel_holds_the_embedded_network(installed: Path) -> None:
    assert (installed / "anycost/weights/embedded.safetensors").is_file()


@pytest.mark.slow
def test_wheel_holds_the_page_of_exports(installed: Path) -> None:
    source = {file.name for file in (ROOT / "src/anycost/export/page").iterdir()}
    assert {file.name for file in (installed / "anycost/export/page").iterdir()} == source >= {"index.html", "app.js"}
