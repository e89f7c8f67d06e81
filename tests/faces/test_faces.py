"""What `FaceSource` promises: determinism, labels that agree with pictures, one picture at every resolution."""

import pytest
import torch
import torch.nn.functional as F

from anycost.data.faces import ATTRIBUTE_NAMES, LABEL_NAMES, FaceSource
from anycost.data.faces.source import label_parameters, render_parameters
from anycost.errors import UserError

SOURCE = FaceSource(size=1000, seed=3)


def label(name: str) -> int:
    return LABEL_NAMES.index(name)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_a_picture_does_not_depend_on_its_batch(resolution: int) -> None:
    together = SOURCE.render(range(20, 60), resolution)
    scattered = SOURCE.render([59, 20, 33, 33], resolution)
    assert together.shape == (40, 3, resolution, resolution)
    assert together.dtype == torch.uint8
    assert torch.equal(scattered, together[[39, 0, 13, 13]])
    assert torch.equal(SOURCE.label_maps([59, 20], resolution), SOURCE.label_maps(range(20, 60), resolution)[[39, 0]])


def test_a_picture_does_not_depend_on_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = SOURCE.render(range(7), 128)
        torch.set_num_threads(3)
        three = SOURCE.render(range(7), 128)
        assert torch.get_num_threads() == 3, "the caller's setting is left as it was"
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, three)


def test_seed_and_index_choose_the_picture_and_size_does_not() -> None:
    assert torch.equal(FaceSource(50, seed=3).render([7], 32), SOURCE.render([7], 32))
    assert not torch.equal(FaceSource(1000, seed=4).render([7], 32), SOURCE.render([7], 32))
    pictures = SOURCE.render(range(200), 32).flatten(1).float()
    distances = torch.cdist(pictures, pictures) / pictures.shape[1] ** 0.5
    assert distances.fill_diagonal_(1e3).min() > 5, "no two people look the same"


def test_fingerprint_names_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {FaceSource(10, 0).fingerprint(), FaceSource(11, 0).fingerprint(), FaceSource(10, 1).fingerprint()}
    assert FaceSource(10, 0).fingerprint() in names
    monkeypatch.setattr("anycost.data.faces.source.RENDERER_VERSION", -1)
    assert len(names | {FaceSource(10, 0).fingerprint()}) == 4


@pytest.mark.parametrize("resolution", [0, 8, 48, 2048])
def test_a_resolution_that_is_not_drawn_is_named(resolution: int) -> None:
    with pytest.raises(UserError, match=f"data.resolution={resolution}.*1024"):
        SOURCE.render([0], resolution)


@pytest.mark.parametrize("index", [-1, 1000])
def test_an_index_out_of_range_is_named(index: int) -> None:
    draw = (lambda i: SOURCE.render(i, 16), lambda i: SOURCE.label_maps(i, 16))
    for read in (SOURCE.attributes, SOURCE.parameters, *draw):
        with pytest.raises(UserError, match=rf"picture {index} .*data.size=1000"):
            read([0, index])


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.size=0"):
        FaceSource(0)


@pytest.mark.parametrize(("fine", "coarse"), [(512, 256), (256, 64), (128, 32), (64, 16)])
def test_the_picture_is_the_same_at_every_resolution(fine: int, coarse: int) -> None:
    indices = range(6)
    shrunk = F.avg_pool2d(SOURCE.render(indices, fine).float(), fine // coarse)
    difference = (shrunk - SOURCE.render(indices, coarse).float()).abs()
    others = (shrunk.roll(1, 0) - shrunk).abs()
    assert difference.mean() < 80 / coarse + 0.5, "levels of 255; measured: 4.2 at 16 px, 2.3, 1.3 and 0.5 at 256 px"
    assert difference.mean() < 0.1 * others.mean(), "two people differ by more than two resolutions"


def test_detail_grows_with_the_resolution() -> None:
    fine = SOURCE.render(range(4), 512).float()
    smooth = F.interpolate(SOURCE.render(range(4), 128).float(), size=512, mode="bicubic")
    gained = (fine - smooth).abs()
    assert gained[:, :, 40:300, 100:400].mean() > 2.5, "hair and skin have strands and texture that 128 px do not show"


def test_edges_are_soft() -> None:
    parameters = SOURCE.parameters(range(16))
    shoulder = render_parameters(parameters, 64).float().mean(1)[:, 60:, :20]
    steps = (shoulder[:, :, 1:] - shoulder[:, :, :-1]).abs().flatten(1)
    total = (shoulder[:, :, 0] - shoulder[:, :, -1]).abs()
    assert (steps.amax(1) < 0.9 * total.amax(1)).float().mean() > 0.6
    patterns = torch.unique(render_parameters(parameters, 32)[0, 0])
    assert len(patterns) > 60


@pytest.mark.parametrize(
    ("attribute", "part"),
    [("Eyeglasses", "glasses"), ("Wearing_Hat", "hat"), ("Beard", "facial_hair"), ("Wearing_Necklace", "necklace"),
     ("Wearing_Earrings", "earrings"), ("Mustache", "facial_hair")],
)  # fmt: skip
def test_what_has_an_attribute_has_its_label(attribute: str, part: str) -> None:
    indices = range(120)
    has = SOURCE.attributes(indices)[:, ATTRIBUTE_NAMES.index(attribute)]
    shown = (SOURCE.label_maps(indices, 128) == label(part)).flatten(1).any(1)
    assert has.sum() >= 5
    assert shown[has].float().mean() >= (1 if part in ("glasses", "hat", "facial_hair") else 0.8)
    if part != "facial_hair":  # beards, goatees and moustaches share one label
        assert not shown[~has].any()


@pytest.mark.parametrize(
    ("switch", "parts"),
    [("glasses", {"glasses"}), ("hat", {"hat"}), ("earrings", {"earrings"}), ("beard", {"facial_hair"}),
     ("mustache", {"facial_hair"}), ("necklace", {"necklace"})],
)  # fmt: skip
def test_a_switch_changes_the_picture_where_its_label_says(switch: str, parts: set[str]) -> None:
    off = SOURCE.parameters(range(24))
    off |= {name: torch.zeros(24, dtype=torch.bool) for name in (switch, "sunglasses", "stubble")}
    off["facial_hair"] = torch.ones(24, dtype=torch.bool)
    on = off | {switch: torch.ones(24, dtype=torch.bool)}
    changed = (render_parameters(on, 64).int() - render_parameters(off, 64).int()).abs().amax(1) > 12
    labels = label_parameters(on, 64)[:, 0]
    there = torch.stack([labels == label(name) for name in parts]).any(0)
    near = F.max_pool2d(there.float()[:, None], 5, 1, 2)[:, 0] > 0
    assert changed.flatten(1).any(1).float().mean() > 0.9
    assert (changed & ~near).sum() <= 0.1 * changed.sum()


@pytest.mark.parametrize("name", ["Smiling", "Mouth_Slightly_Open", "Wearing_Lipstick", "Heavy_Makeup", "Young"])
def test_attributes_without_a_label_show_at_64_pixels(name: str) -> None:
    switches = {
        "Smiling": ({"smile": torch.full((12,), 0.9)}, {"smile": torch.full((12,), 0.0)}),
        "Mouth_Slightly_Open": ({"opening": torch.full((12,), 0.06), "mouth_open": torch.ones(12)},
                                {"opening": torch.zeros(12), "mouth_open": torch.zeros(12)}),
        "Wearing_Lipstick": ({"lips": torch.tensor([0.8, 0.1, 0.2]).expand(12, 3)}, {}),
        "Heavy_Makeup": ({"heavy_makeup": torch.ones(12)}, {"heavy_makeup": torch.zeros(12)}),
        "Young": ({"wrinkles": torch.ones(12)}, {"wrinkles": torch.zeros(12)}),
    }  # fmt: skip
    base = SOURCE.parameters(range(12))
    first, second = (render_parameters(base | change, 64).float() for change in switches[name])
    assert ((first - second).abs().amax(1).flatten(1) > 10).sum(1).float().mean() > 6, "pixels that change visibly"


def test_every_attribute_and_label_is_common_enough_to_be_learnt() -> None:
    frequency = FaceSource().attributes(range(4000)).float().mean(0)
    rare = {name: round(float(f), 3) for name, f in zip(ATTRIBUTE_NAMES, frequency, strict=True) if not 0.03 < f < 0.8}
    assert not rare
    maps = SOURCE.label_maps(range(150), 64)
    seen = torch.stack([(maps == k).flatten(1).any(1) for k in range(len(LABEL_NAMES))])
    assert (seen.float().mean(1) > 0.04).all()


def test_hair_colours_exclude_each_other() -> None:
    colours = [ATTRIBUTE_NAMES.index(f"{name}_Hair") for name in ("Black", "Blond", "Brown", "Gray", "Red")]
    labels = SOURCE.attributes(range(1000))
    assert labels[:, colours].sum(1).max() == 1
    assert not labels[labels[:, ATTRIBUTE_NAMES.index("Bald")]][:, colours].any()


def test_pairs_are_two_instances_left_and_right() -> None:
    indices = range(60)
    instances, labels = SOURCE.instance_ids(indices, 128), SOURCE.label_maps(indices, 128)
    assert torch.equal(instances // 2, labels)
    columns = torch.arange(128).expand_as(instances).float()
    for part in ("eyes", "brows", "glasses"):
        left, right = instances == 2 * label(part), instances == 2 * label(part) + 1
        both = left.flatten(1).any(1) & right.flatten(1).any(1)
        assert both.sum() >= 5
        for k in both.nonzero()[:, 0].tolist():
            assert columns[k][left[k]].mean() < columns[k][right[k]].mean()


def test_draws_are_uniform_and_independent() -> None:
    parameters = FaceSource(size=20000).parameters(range(20000))
    names = ("age", "skin_tone", "rosy", "bokeh_x", "light", "shift_x")
    numbers = torch.stack([parameters[name] for name in names]).double()
    assert abs(parameters["age"].mean() - 0.5) < 0.01
    assert abs(parameters["age"].var() - 1 / 12) < 0.003
    assert (torch.corrcoef(numbers) - torch.eye(6)).abs().max() < 0.03
    assert abs(torch.corrcoef(torch.stack([numbers[0, 1:], numbers[0, :-1]]))[0, 1]) < 0.03
