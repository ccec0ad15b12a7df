"""Other programs' formats: CTranslate2, ONNX and GGML, written, run and compared with torch.

Knows the formats of other runtimes. Does not know training.
"""
