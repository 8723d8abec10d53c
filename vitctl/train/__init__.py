"""Training: one step, the loop around it, scoring, and what a run writes down.

config    everything that decides the weights
state     what a step carries, and its shapes
step      the pure train step
scoring   loss, top-1 and top-5 over every example exactly once
features  frozen pre-logits, for the few-shot probe
cadence   when to log, score, save, and which checkpoints stay
metrics   metrics.jsonl, cut back to the checkpoint a run resumes from
memory    what a step needs against what the devices have
start     where a run begins: random weights, or a checkpoint
saving    which checkpoints are written, what they say of themselves, which go
reporting rows of metrics, and progress
loop      batch, step, and what is due after it
trainer   numbers, shapes, restore, loop: what pretrain, cooldown and finetune share
"""
