"""What a picture shows: named numbers, switches and colours, drawn from (seed, index).

The renderer reads nothing else. Lengths are in units of half the picture's side at `scale` 1, measured in the frame of
the head (x to the viewer's right, y down, depth towards the viewer); yaw, pitch and roll are sines; switches are bool,
colours `[B, 3]` sRGB.
"""

import torch
from torch import Tensor

from anycost.data.faces import palettes
from anycost.data.faces.draws import Draws

Parameters = dict[str, Tensor]  # [B] or [B, 3], the same B for all


def draw_parameters(seed: int, indices: Tensor) -> Parameters:
    """The parameters of the pictures `indices` (int64 `[B]`)."""
    draws = Draws(seed, indices)
    parameters = _person(draws)
    for part in (_pose, _head, _skin, _hair_shape, _hair_colour, _expression, _features, _facial_hair, _makeup,
                 _accessories, _scene):  # fmt: skip
        parameters |= part(draws, parameters)
    return parameters


def _person(d: Draws) -> Parameters:
    age = d.uniform("age")
    return {"age": age, "wrinkles": ((age - 0.5) / 0.5).clamp(0, 1), "feminine": d.chance("feminine", 0.5)}


def _pose(d: Draws, p: Parameters) -> Parameters:
    ranges = {"yaw": 0.5, "pitch": 0.22, "roll": 0.16}
    sines = {name: d.bell(name, -limit, limit) for name, limit in ranges.items()}
    cosines = {f"{name}_cosine": (1 - sine.square()).sqrt() for name, sine in sines.items()}
    return sines | cosines | {
        "shift_x": d.bell("shift_x", -0.08, 0.08),
        "shift_y": d.bell("shift_y", -0.01, 0.10),
        "scale": d.bell("scale", 0.95, 1.15),
    }


def _head(d: Draws, p: Parameters) -> Parameters:
    masculine = (~p["feminine"]).float()
    return {
        "head_width": d.bell("head_width", 0.43, 0.49),
        "jaw_width": d.bell("jaw_width", 0.325, 0.395) + 0.035 * masculine,
        "jaw_drop": d.bell("jaw_drop", 0.56, 0.65) + 0.02 * masculine,
        "neck_width": d.bell("neck_width", 0.175, 0.215) + 0.05 * masculine,
        "ear_size": d.bell("ear_size", 0.85, 1.2),
    }


def _skin(d: Draws, p: Parameters) -> Parameters:
    tone = d.uniform("skin_tone")
    colour = palettes.blend(palettes.SKIN, tone)
    tint = torch.stack([d.bell("skin_red", -0.03, 0.03), d.bell("skin_green", -0.02, 0.02),
                        d.bell("skin_blue", -0.03, 0.03)], dim=1)  # fmt: skip
    return {
        "skin_tone": tone,
        "skin": (colour + tint).clamp(0, 1),
        "rosy": d.uniform("rosy"),
        "freckled": d.chance("freckled", 0.15) & (tone < 0.45),
        "texture_phase": d.uniform("texture_phase"),
    }


def _hair_shape(d: Draws, p: Parameters) -> Parameters:
    feminine = p["feminine"]
    hat = d.chance("hat", 0.1)
    bald = d.chance("bald", torch.where(feminine, 0.0, 0.08 + 0.16 * p["wrinkles"])) & ~hat
    length = torch.where(feminine, d.uniform("length", 0.05, 1.0), d.uniform("length", -0.9, 0.45))
    long = (length > 0.25) & ~bald
    afro = d.chance("afro", torch.where((p["skin_tone"] > 0.5) & ~hat & ~bald, 0.35, 0.0))
    bangs = d.chance("bangs", torch.where(feminine, 0.32, 0.2)) & ~bald & ~afro & ~hat
    wavy = afro | (d.chance("wavy", 0.42) & ~bald)
    curl = torch.where(wavy, d.uniform("curl", 0.55, 1.0), d.uniform("curl", 0.0, 0.12))
    receding = d.chance("receding", torch.where(feminine, 0.0, 0.12 + 0.4 * p["wrinkles"]))
    receding = receding & ~(bangs | afro | bald | hat)
    earrings = d.chance("earrings", torch.where(feminine, 0.42, 0.05))
    return {
        "earrings": earrings,
        "bald": bald,
        "fringe_of_hair": bald & d.chance("fringe_of_hair", 0.5),
        "hat": hat,
        "long_hair": long & ~afro,
        "hair_length": 0.30 + 0.72 * length.clamp(0.0, 1.0),
        "hair_tucked": earrings | d.chance("hair_tucked", 0.3),
        "bun": d.chance("bun", torch.where(feminine & ~long & ~hat, 0.6, 0.0)),
        "afro": afro,
        "bangs": bangs,
        "wavy": wavy,
        "curl": curl,
        "receding": receding,
        "hair_volume": d.bell("hair_volume", 0.02, 0.13) * torch.where(hat, 0.3, 1.0) + 0.13 * afro,
        "hairline": d.bell("hairline", -0.52, -0.40) - 0.08 * receding,
        "part": d.bell("part", -0.32, 0.32),
        "part_depth": d.uniform("part_depth", 0.0, 0.5),
        "sweep": d.bell("sweep", -0.5, 0.5),
        "strand_phase": d.uniform("strand_phase"),
    }


def _hair_colour(d: Draws, p: Parameters) -> Parameters:
    kinds = ("black_hair", "brown_hair", "blond_hair", "red_hair", "dyed_hair")
    stops = (palettes.BLACK, palettes.BROWN, palettes.BLOND, palettes.RED, palettes.DYED)
    shade = d.uniform("hair_shade")
    natural = torch.where(p["skin_tone"] > 0.55, d.choice("dark_hair", [0.7, 0.23, 0.02, 0.02, 0.03]),
                          d.choice("hair_kind", [0.22, 0.36, 0.27, 0.11, 0.04]))  # fmt: skip
    gray = d.chance("gray", (p["age"] * 1.9 - 1.05).clamp(0, 0.8))
    colour = torch.stack([palettes.blend(stop, shade) for stop in stops])[natural, torch.arange(len(shade))]
    colour = torch.where(gray[:, None], palettes.blend(palettes.GRAY, shade), colour)
    switches = {kind: (natural == k) & ~gray for k, kind in enumerate(kinds)}
    return switches | {"gray_hair": gray, "hair": colour}


def _expression(d: Draws, p: Parameters) -> Parameters:
    smiling = d.chance("smiling", 0.5)
    is_open = d.chance("mouth_open", torch.where(smiling, 0.55, 0.25))
    return {
        "smiling": smiling,
        "smile": torch.where(smiling, d.uniform("smile", 0.55, 1.0), d.uniform("smile", -0.25, 0.15)),
        "mouth_open": is_open,
        "opening": torch.where(is_open, d.uniform("opening", 0.035, 0.085), 0.0),
        "gaze_x": d.bell("gaze_x", -0.03, 0.03),
        "gaze_y": d.bell("gaze_y", -0.012, 0.012),
        "eye_open": d.bell("eye_open", 0.72, 1.25),
        "brow_raise": d.bell("brow_raise", -0.01, 0.035),
        "brow_tilt": d.bell("brow_tilt", -0.022, 0.028),
    }


def _features(d: Draws, p: Parameters) -> Parameters:
    masculine = (~p["feminine"]).float()
    return {
        "iris": palettes.blend(palettes.IRIS, d.uniform("iris") * torch.where(p["skin_tone"] > 0.5, 0.35, 1.0)),
        "eye_size": d.bell("eye_size", 0.92, 1.18),
        "eye_distance": d.bell("eye_distance", 0.185, 0.225),
        "eye_slant": d.bell("eye_slant", -0.14, 0.2),
        "brow_thickness": d.bell("brow_thickness", 0.014, 0.034) + 0.007 * masculine,
        "brow_arch": d.bell("brow_arch", 0.005, 0.06),
        "nose_width": d.bell("nose_width", 0.078, 0.118) + 0.008 * masculine,
        "nose_length": d.bell("nose_length", 0.17, 0.25),
        "mouth_width": d.bell("mouth_width", 0.125, 0.185),
        "lip_size": d.bell("lip_size", 0.65, 1.35),
    }


def _facial_hair(d: Draws, p: Parameters) -> Parameters:
    grown = ~p["feminine"] & (p["age"] > 0.08)
    kind = d.choice("facial_hair", [0.44, 0.20, 0.12, 0.10, 0.14])  # none, beard, moustache, goatee, stubble
    return {
        "facial_hair": grown & (kind > 0),
        "beard": grown & (kind == 1),
        "mustache": grown & ((kind == 1) | (kind == 2) | ((kind == 3) & d.chance("goatee_mustache", 0.6))),
        "goatee": grown & (kind == 3),
        "stubble": grown & (kind == 4),
        "beard_length": d.bell("beard_length", 0.0, 0.12),
    }


def _makeup(d: Draws, p: Parameters) -> Parameters:
    heavy = d.chance("heavy_makeup", 0.42) & p["feminine"]
    lipstick = heavy | (d.chance("lipstick", 0.3) & p["feminine"])
    natural = p["skin"] * torch.tensor([0.80, 0.56, 0.55]) + torch.tensor([0.04, 0.0, 0.01])
    return {
        "heavy_makeup": heavy,
        "lipstick": lipstick,
        "lips": torch.where(lipstick[:, None], palettes.pick(palettes.LIPSTICK, d.uniform("lip_colour")), natural),
        "eyeshadow": palettes.pick(palettes.SHADOW, d.uniform("eyeshadow")),
    }


def _accessories(d: Draws, p: Parameters) -> Parameters:
    glasses = d.chance("glasses", 0.2)
    collar = d.choice("collar", [0.34, 0.22, 0.28, 0.16])  # crew, V, shirt, turtleneck
    return {
        "glasses": glasses,
        "sunglasses": glasses & d.chance("sunglasses", 0.22),
        "lens_width": d.bell("lens_width", 0.145, 0.18),
        "lens_height": d.bell("lens_height", 0.10, 0.16),
        "lens_rounding": d.uniform("lens_rounding", 0.35, 1.0),
        "frame_thickness": d.uniform("frame_thickness", 0.009, 0.02),
        "frame": palettes.pick(palettes.FRAMES, d.uniform("frame")),
        "earring_hoop": d.chance("earring_hoop", 0.5),
        "collar": collar,
        "necklace": d.chance("necklace", torch.where(p["feminine"], 0.3, 0.04)) & (collar != 3),
        "metal": palettes.pick(((0.93, 0.76, 0.32), (0.85, 0.87, 0.90)), d.uniform("metal")),
        "hat_kind": d.choice("hat_kind", [0.4, 0.3, 0.3]),  # beanie, cap, brimmed
        "hat_colour": palettes.pick(palettes.CLOTHES, d.uniform("hat_colour")),
    }


def _scene(d: Draws, p: Parameters) -> Parameters:
    return {
        "clothes": palettes.pick(palettes.CLOTHES, d.uniform("clothes")),
        "second_clothes": palettes.pick(palettes.CLOTHES, d.uniform("second_clothes")),
        "striped": d.chance("striped", 0.2),
        "background": palettes.pick(palettes.BACKGROUND, d.uniform("background")),
        "background_light": d.uniform("background_light", 0.0, 0.45),
        "background_slope": d.bell("background_slope", -1.0, 1.0),
        "bokeh": d.uniform("bokeh", -0.6, 1.0),
        "bokeh_x": d.uniform("bokeh_x", -1.0, 1.0),
        "light": d.bell("light", -1.0, 1.0),
        "warmth": d.bell("warmth", -0.05, 0.05),
        "brightness": d.bell("brightness", 0.92, 1.08),
    }
