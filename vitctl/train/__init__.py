"""Training: the step, the run around it, and its measurements.

config           everything that decides the weights; imports no array library
image_source     the images that a run's settings speak of
trained_classes  the classes that weights were trained on; imports no array library
carried_over     what of a checkpoint goes over to a run that begins from it; no array library
trained_model    a checkpoint for Python: what `vitctl.load` returns
program          what the devices execute: the train step, its state, its memory
run              the story of a run: beginning, loop, saving, scoring, rollback
telemetry        metrics, speed, time, idle devices
"""
