"""A portrait: which parts are painted over which."""

from anycost.data.faces import accessories, beard, eyes, hair, head, nose_mouth, scenery
from anycost.data.faces.canvas import Canvas, blank_canvas
from anycost.data.faces.parameters import Parameters
from anycost.data.faces.person import Person, head_view

RENDERER_VERSION = 1  # to be raised by every change of what any picture looks like


def paint_portraits(kind: type[Canvas], parameters: Parameters, resolution: int) -> Canvas:
    """A canvas of `kind` with one picture per row of the parameters."""
    person = Person(parameters)
    canvas = blank_canvas(kind, len(parameters["age"]), resolution)
    view = head_view(canvas, person)
    face, style = head.head_shape(view), hair.hair_shape(view)
    scenery.paint_background(canvas, person)
    hair.paint_back_hair(view, style)
    scenery.paint_neck(view)
    scenery.paint_clothes(view)
    accessories.paint_necklace(view)
    head.paint_ears(view)
    head.paint_face(view, face, style)
    head.paint_lines(view, face)
    nose_mouth.paint_nose(view)
    beard.paint_facial_hair(view)
    nose_mouth.paint_mouth(view)
    eyes.paint_eyes(view)
    eyes.paint_brows(view)
    accessories.paint_glasses(view)
    accessories.paint_earrings(view)
    hair.paint_front_hair(view, style)
    accessories.paint_hat(view)
    scenery.light_picture(view)
    return canvas
