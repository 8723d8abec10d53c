"""Optimizers as pure (init, update) pairs; the learning rate is an argument, not a state.

`config` and `decay` need no array library; `optimizer.make` builds the transformation. `average`
keeps a Polyak average beside the weights, `spikes` tells which updates to leave out. Parameter axes
carry the letters of `vitctl.model`.
"""
