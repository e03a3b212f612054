"""Weights and networks to and from other libraries: PyTorch, Keras, ONNX, safetensors files."""
