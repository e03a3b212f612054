"""The run-time parts of compiled loops on the CPU: vectors of the host's width, their maths, and matrix products."""
