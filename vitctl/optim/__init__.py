"""Optimizers as pure (init, update) pairs; the learning rate is an argument, not a state.

`config` and `decay` need no array library; `optimizer.make` builds the transformation. Parameter
axes carry the letters of `vitctl.model`.
"""
