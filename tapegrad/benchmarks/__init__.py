"""Speed of cells against peers: what ``tapegrad bench cells`` measures, and how.

A :class:`~.work.Work` is one cell at one shape with its data. Contenders (this project's backends, and each library
that is installed) do the same work; their results are compared before anything is timed.
"""
