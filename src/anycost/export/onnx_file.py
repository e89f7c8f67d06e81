"""ONNX: plain operators of opset 20, weights inside the file, checked by running it in ONNX Runtime."""

import json
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anycost.export.extras import needs
from anycost.export.subject import Run, Subject

if TYPE_CHECKING:
    import onnx

OPSET = 20
"""Of 2023: understood by ONNX Runtime 1.17 and later, on every platform of its own."""
_SMALL = 256  # numbers: shapes and biases stay as they are


def onnx_bytes(subject: Subject, half: bool = False) -> bytes:
    """The model as a file's content; `half` stores weights in float16, which halves it and computes in float32."""
    needs("onnx", "onnxscript", "onnxruntime")
    import onnx

    traced = subject.traced
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about its own insides
        program = torch.onnx.export(
            subject.graph, tuple(traced.values()), input_names=[*traced], output_names=["image"], opset_version=OPSET,
            dynamic_shapes=subject.dynamic_shapes, dynamo=True, verbose=False, external_data=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    if half:
        _store_half(model)
    onnx.helper.set_model_props(model, {key: _text(value) for key, value in subject.description.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _store_half(model: "onnx.ModelProto") -> None:
    """Large float32 weights become float16 with a Cast behind: runtimes do that cast once, when they load."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > _SMALL:
            name, stored = tensor.name, f"{tensor.name}.half"
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, stored))
            casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def onnx_run(content: bytes) -> Run:
    """The model in ONNX Runtime on the CPU, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        (image,) = session.run(["image"], {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(image)

    return run


def runtime_name() -> str:
    return f"onnxruntime {version('onnxruntime')}"
