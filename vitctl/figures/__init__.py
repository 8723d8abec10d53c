"""Pictures of numbers: matplotlib figures made without its global state, rendered to bytes.

    style      colours of the two themes, axes, saving
    scaling    error over compute, by model size, by data size, over images seen
    forecasts  forms of the law over the runs that they predict
    schedules  learning rates with their cooldown branches
    decay      the head/body weight decay heat map

Needs matplotlib (the extra `report`); nothing else of vitctl imports this package.
"""
