"""Images on disk to batches in memory: sources, shards, order, decoding, augmentation.

Only `tf_*` and `decode` import TensorFlow, and only when called into; order, examples, records,
datasets and mock data do without it.
"""
