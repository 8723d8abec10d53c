"""The story of a training run, which pretrain, cooldown and finetune share.

trainer         the run from top to bottom: setup, restore, loop, end
setup           devices, memory, programs and intervals, before the first step
announcement    every resolved number of a run, once, as sentences
beginning       where a run begins: random weights, or a checkpoint
procedural      steps on sequences of a formal language, before the first image
warm_start      pretrained weights made to fit the classes of a dataset, by name
images          the images of a run, from a dataset on disk or made up
device_images   images that devices make right before a step
feed            batches whose first is under way while the step is compiled
jitted          jitted functions whose compilation is measured and announced
cadence         when to log, score and save, and which checkpoints stay
least_time      the least time a run can take here, before anything compiles
chance          whether a model is no better than the frequencies of its classes
reporting       rows of metrics, where time went, and progress events
held_out        scores of the held-out split while a run trains
selection       which checkpoint is the best by held-out scores, and when to stop looking
saving          checkpoints: which are written, what they record, which are deleted
diverged        an update that was not finite
diverged_batch  the batch that a step diverged on, as an artifact
rollback        after a divergence: the checkpoint to return to, the batches to skip
replay          a batch of training again: its images, and what the step made of them
"""
