"""A listing to shards: the plan, the work of one shard, worker processes, the description.

shard_plan    which image goes into which shard
share         how many images of each class are held out
shard_writer  the work of one shard, from reading to writing
pieces        few shards made by many workers
sample        some images of a source, sharded to a folder that goes away
rejects       images that are left out, and how many of them end the work
finished      shards that are made, whoever made them
dataset_part  some shards as an artifact of their own
publishing    finished shards in a draft -> the dataset artifact
assemble      finished shards -> the description of their dataset
about         what only a person knows of a dataset
croissant     the file with which a dataset describes itself to hubs and search engines
tfds_files    the files with which TensorFlow Datasets reads a dataset artifact
"""
