"""Measurements of a training run: metrics, speed, time, idle devices.

metrics      `metrics.jsonl`, cut back to the checkpoint that a run resumes from
tensorboard  scalars as TensorBoard event files, without TensorFlow or protobuf
scalars      what of a metrics row is a curve
tracker      what an experiment tracker is to a run
tracking     rows for experiment trackers, sent by a thread, remembered across restarts
wandb_runs   a run at Weights & Biases
mlflow_runs  a run at MLflow
goodput      where the time of a run went, across restarts
eta          the time a run still takes, from the time it took so far
device_idle  when the devices finished a step, which the host does not know
starvation   whether the input starves the devices, and what would help
"""
