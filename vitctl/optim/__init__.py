"""Optimizers as pure (init, update) pairs; the learning rate is an argument, not a state.

    config     which optimizer, with which numbers
    optimizer  the optimizers, put together from optax's parts
    schedules  learning rates as a function of the step, in float64 on the host
    decay      which parameters decay: a table by role
    rates      the share of the learning rate that a parameter takes: by depth, 0 where frozen
    frozen     which parameters are trained, and what that costs
    momentum   momentum whose storage type is part of the arithmetic
    per_layer  stacked layers treated as the separate parameters they are
    part_state  the optimizer's state of other trained parameters, taken over
    average    Polyak average of the weights, without a bias to its start
    spikes     updates with an outlying gradient norm, left out

`config` and `decay` need no array library, nor does `frozen` where nothing is frozen;
`optimizer.make` builds the transformation. Parameter axes carry the letters of `vitctl.model`.
"""
