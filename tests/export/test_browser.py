"""The page in a real browser: its canvas shows what `anycost generate` saves, and it asks nobody for anything."""

import functools
import http.server
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from anycost.commands import main
from anycost.sampling import seeded_latents, to_uint8

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-component-update", "--disable-sync")  # fmt: skip
READY = '#figure[aria-busy="false"]'


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page, made by the command; ONNX Runtime Web is fetched into the cache where it is not there yet."""
    if shutil.which("npm") is None:
        pytest.skip("no npm")
    output = tmp_path_factory.mktemp("page") / "my page"
    assert main(["export", f"weights={weights}", "architecture=0.5", "format=web", f"output={output}", "seeds=50"]) == 0
    return output


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Any server of files will do."""
    handler = functools.partial(QuietFiles, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as driver:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        started = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


class Visit:
    """One page, what it requested, and what it complained about."""

    def __init__(self, browser: "playwright.Browser", address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1200, "height": 900})
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.wait()

    def _hear(self, message: "playwright.ConsoleMessage") -> None:
        if "getImageData" not in message.text:  # advice about the tests' own reading
            self.complaints.append(message.text)

    def wait(self) -> None:
        self.page.wait_for_selector(READY, timeout=60_000)

    def wait_until(self, expression: str) -> None:
        """As `wait_for_function`, which needs the `eval` that the page's policy forbids."""
        end = time.monotonic() + 60
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(20)

    def move(self, slider: str, value: float | str) -> None:
        """As a hand does: the value, then the event."""
        change = "(it, value) => { it.value = value; it.dispatchEvent(new Event('input', { bubbles: true })); }"
        self.page.locator(f"#{slider}").evaluate(change, str(value))
        self.wait()

    def pixels(self) -> np.ndarray:
        read = "it => Array.from(it.getContext('2d').getImageData(0, 0, it.width, it.height).data)"
        rgba = np.array(self.page.locator("#image").evaluate(read), np.int16)
        return rgba.reshape(round((len(rgba) / 4) ** 0.5), -1, 4)[..., :3].transpose(2, 0, 1)

    def caption(self) -> str:
        return self.page.inner_text("#caption").replace("\u00a0", " ")


@pytest.fixture
def visit(browser: "playwright.Browser", address: str) -> Iterator[Visit]:
    visit = Visit(browser, address)
    yield visit
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith((address, "blob:", "data:"))] == []
    visit.page.close()


@pytest.fixture
def drawn(truth: Callable[..., Tensor]) -> Callable[..., np.ndarray]:
    """What the plain generator draws of a seed, as `anycost generate` saves it."""
    generator = truth.generator  # type: ignore[attr-defined]
    architecture = generator.space.parse("0.5")

    def draw(w: Tensor, strength: float = 1.0) -> np.ndarray:
        return to_uint8(truth(w, architecture, "w", strength))[0].numpy().astype(np.int16)

    def styles(first: int, second: int = 0, blend: float = 0, layers: slice = slice(None), psi: float = 1) -> Tensor:
        w = generator.mapping(seeded_latents(generator, [first, second]))
        codes = w[:1].repeat(generator.num_styles, 1)
        codes[layers] = torch.lerp(w[:1], w[1:], blend)
        return torch.lerp(generator.truncation_center(), codes, psi)[None]

    return lambda *args, strength=1.0, **kwargs: draw(styles(*args, **kwargs), strength)


def assert_same(shown: np.ndarray, expected: np.ndarray) -> None:
    assert shown.shape == expected.shape == (3, 32, 32)
    assert expected.std() > 20, "a picture, not a plain colour"
    assert np.abs(shown - expected).max() <= 1


def test_sliders_show_what_the_generator_draws(visit: Visit, drawn: Callable[..., np.ndarray]) -> None:
    assert_same(visit.pixels(), drawn(0))
    assert visit.caption().startswith("Seed 0 · 32 × 32 px · ")
    visit.move("first", 49)
    assert_same(visit.pixels(), drawn(49))
    visit.move("truncation", 0.5)
    visit.move("noise", 0)
    assert_same(visit.pixels(), drawn(49, psi=0.5, strength=0.0))
    visit.move("second", 7)
    visit.move("blend", 30)
    assert_same(visit.pixels(), drawn(49, 7, 0.3, psi=0.5, strength=0.0))
    assert "30 % of seed 7" in visit.caption()
    for part, layers in (("coarse", slice(0, 4)), ("fine", slice(4, None))):
        visit.move("part", part)
        assert_same(visit.pixels(), drawn(49, 7, 0.3, layers, psi=0.5, strength=0.0))
    visit.page.click("text=Start again")
    visit.wait_until("document.getElementById('first').value === '0'")
    visit.wait()
    assert_same(visit.pixels(), drawn(0))


def test_keyboard_alone(visit: Visit, drawn: Callable[..., np.ndarray]) -> None:
    focused = "document.activeElement.id"
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate(focused) == "first"
    for _ in range(3):
        visit.page.keyboard.press("ArrowRight")
    visit.wait()
    assert_same(visit.pixels(), drawn(3))
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate(focused) == "first-number"
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.type("41")
    visit.wait()
    assert_same(visit.pixels(), drawn(41))
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.type("999")
    visit.wait()
    assert_same(visit.pixels(), drawn(49))
    visit.page.focus("#next")
    visit.page.keyboard.press("Enter")
    visit.wait()
    assert_same(visit.pixels(), drawn(0))


def test_a_quick_hand_ends_with_the_newest(visit: Visit, drawn: Callable[..., np.ndarray]) -> None:
    sweep = """it => {
        for (let seed = 1; seed < 40; seed++) {
            it.value = seed;
            it.dispatchEvent(new Event("input", { bubbles: true }));
        }
        return document.getElementById("figure").getAttribute("aria-busy");
    }"""
    assert visit.page.locator("#first").evaluate(sweep) == "true"
    visit.wait()
    assert_same(visit.pixels(), drawn(39))


def test_picture_is_saved_and_a_walk_moves_on(visit: Visit, drawn: Callable[..., np.ndarray]) -> None:
    visit.move("first", 5)
    with visit.page.expect_download() as download:
        visit.page.click("#save")
    assert download.value.suggested_filename == "seed_5.png"
    saved = np.array(Image.open(BytesIO(Path(download.value.path()).read_bytes())).convert("RGB"), np.int16)
    assert_same(saved.transpose(2, 0, 1), drawn(5))
    visit.page.click("#walk")
    visit.wait_until("document.getElementById('blend').valueAsNumber >= 6")
    visit.page.click("#walk")
    visit.wait()
    first, second, blend = (
        int(visit.page.locator(f"#{name}").evaluate("it => it.valueAsNumber")) for name in ("first", "second", "blend")
    )  # a walk that a busy machine stops late has gone on to the next pair
    assert_same(visit.pixels(), drawn(first, second, blend / 100))


def test_page_opens_from_the_disk(
    browser: "playwright.Browser", folder: Path, drawn: Callable[..., np.ndarray]
) -> None:
    visit = Visit(browser, (folder / "index.html").as_uri())
    visit.move("first", 12)
    assert_same(visit.pixels(), drawn(12))
    assert visit.complaints == []
    assert {url.split(":")[0] for url in visit.requests} <= {"file", "blob", "data"}
    visit.page.close()


MAKE = "const make = (name, values) => Object.assign(document.createElement(name), values);"
WAYS_OUT = {
    "fetch": "fetch(address).catch(() => 0)",
    "import": "import(address).catch(() => 0)",
    "worker": "new Worker(URL.createObjectURL(new Blob([`importScripts('${address}')`])))",
    "beacon": "navigator.sendBeacon(address)",
    "script": "document.head.append(make('script', { src: address }))",
    "style": "document.head.append(make('link', { rel: 'stylesheet', href: address }))",
    "frame": "document.body.append(make('iframe', { src: address }))",
    "image": "new Image().src = address",
    "sound": "new Audio(address).load()",
    "form": "document.body.appendChild(make('form', { action: address, target: 'new' })).submit()",
}


def test_no_script_in_the_page_can_reach_a_server(
    browser: "playwright.Browser", folder: Path, address: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Noticing(QuietFiles):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        do_POST = do_GET

    handler = functools.partial(Noticing, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        elsewhere = f"http://127.0.0.1:{server.server_port}/"
        for own in (address, (folder / "index.html").as_uri()):
            visit = Visit(browser, own)
            for name, way in WAYS_OUT.items():
                visit.page.evaluate(f"address => {{ {MAKE} {way}; }}", elsewhere + name)
            visit.page.wait_for_timeout(300)
            assert len(visit.complaints) >= len(WAYS_OUT) - 1, "the policy refused them"
            visit.page.close()
        server.shutdown()
    assert asked == []


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_overflows(browser: "playwright.Browser", address: str, width: int) -> None:
    visit = Visit(browser, address)
    visit.page.set_viewport_size({"width": width, "height": 700})
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.page.close()


def test_a_damaged_page_says_so(browser: "playwright.Browser", folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    script = (copy / "generator.js").read_text()
    name = 'anycost.packed["model.onnx"] = "'
    (copy / "generator.js").write_text(script.replace(name, f"{name}H4sIAAAAAAAC/6tWKk5OLEpVslIqSCwuLlCqBQB9c", 1))
    visit = Visit(browser, (copy / "index.html").as_uri())
    assert "cannot run the generator" in visit.caption()
    assert visit.page.locator("#next").is_disabled()
    visit.page.close()
