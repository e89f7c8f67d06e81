"""Attribute labels of the embedded faces, under the names of CelebA where it has one."""

import torch
from torch import Tensor

from anycost.data.faces.parameters import Parameters

ATTRIBUTE_NAMES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Bald", "Bangs", "Beard", "Big_Lips", "Big_Nose", "Black_Hair",
    "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "Long_Hair",
    "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Pale_Skin", "Receding_Hairline", "Red_Hair",
    "Rosy_Cheeks", "Smiling", "Straight_Hair", "Sunglasses", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Young",
)  # fmt: skip


def attribute_labels(p: Parameters) -> Tensor:
    """bool `[B, len(ATTRIBUTE_NAMES)]`. Hair attributes are false for the bald, whose hair does not show."""
    haired = ~p["bald"]
    bearded = p["beard"] | p["goatee"] | p["mustache"] | p["stubble"]
    columns = {
        "5_o_Clock_Shadow": p["stubble"],
        "Arched_Eyebrows": p["brow_arch"] > 0.042,
        "Bald": p["bald"],
        "Bangs": p["bangs"],
        "Beard": p["beard"],
        "Big_Lips": p["lip_size"] > 1.12,
        "Big_Nose": p["nose_width"] > 0.108,
        "Black_Hair": p["black_hair"] & haired,
        "Blond_Hair": p["blond_hair"] & haired,
        "Brown_Hair": p["brown_hair"] & haired,
        "Bushy_Eyebrows": p["brow_thickness"] > 0.031,
        "Eyeglasses": p["glasses"],
        "Goatee": p["goatee"],
        "Gray_Hair": p["gray_hair"] & haired,
        "Heavy_Makeup": p["heavy_makeup"],
        "Long_Hair": p["long_hair"],
        "Mouth_Slightly_Open": p["mouth_open"],
        "Mustache": p["mustache"],
        "Narrow_Eyes": p["eye_open"] < 0.86,
        "No_Beard": ~bearded,
        "Pale_Skin": p["skin_tone"] < 0.12,
        "Receding_Hairline": p["receding"],
        "Red_Hair": p["red_hair"] & haired,
        "Rosy_Cheeks": p["rosy"] > 0.75,
        "Smiling": p["smiling"],
        "Straight_Hair": haired & ~p["wavy"],
        "Sunglasses": p["sunglasses"],
        "Wavy_Hair": p["wavy"],
        "Wearing_Earrings": p["earrings"],
        "Wearing_Hat": p["hat"],
        "Wearing_Lipstick": p["lipstick"],
        "Wearing_Necklace": p["necklace"],
        "Young": p["age"] < 0.6,
    }
    return torch.stack([columns[name] for name in ATTRIBUTE_NAMES], dim=1)
