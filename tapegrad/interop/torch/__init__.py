"""PyTorch: its state dicts, and a module made of any cell."""
