"""Fixed sub-generators for other programs: ONNX, torch.export, AOTInductor, extracted weights, a page for browsers."""
