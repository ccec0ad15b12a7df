"""Old speech kept: base and adapted weights mixed within a guard budget.

Knows two sets of weights and what each mixture gives. Does not know how either was trained.
"""
