"""The command line: one thin module per command group.

Knows options, exit status and what goes to stdout and stderr. Does not know how anything is computed;
heavy rooms are imported inside the command that needs them, so that ``--help`` stays fast.
"""
