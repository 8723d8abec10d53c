"""What the devices execute: the train step, its state, its memory.

step             the pure train step: (state, batch, learning rate, step, numbers) -> (state, stats)
run_numbers      what runs of one program differ in: the seed, the decays
objective        what is learnt: classes of images, or hidden symbols of sequences
state            what a step carries to the next one, and its shapes
lowered          the step compiled ahead of time, for these devices or absent ones
footprint        memory of a step, counted from shapes, against that of a device
"""
