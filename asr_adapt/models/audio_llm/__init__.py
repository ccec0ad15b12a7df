"""Language models that hear: an encoder's output stands among the tokens of a decoder-only model.

Knows nothing by itself; each family is a module.
"""
