"""ONNX: its RNN, LSTM and GRU nodes, read and written."""
