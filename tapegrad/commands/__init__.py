"""The commands of the program ``tapegrad``, one module each.

A module has ``add_arguments(parser)`` and ``run(args) -> int``, the exit status. Importing it must stay cheap, since
``tapegrad --help`` imports all of them: what is heavy is imported in ``run``.
"""
