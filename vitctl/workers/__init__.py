"""Worker processes: on this machine, or on those of a Ray cluster.

task          what workers are given and what comes back, whoever runs them
executors     where tasks are run: the one place that chooses
local_pool    processes of this machine that may die
ray_address   the cluster that a user names
ray_cluster   a Ray cluster, as this process sees it
ray_messages  what this process and the driver of the cluster tell each other
ray_driver    the process that is the driver of a Ray cluster; the only module that imports Ray
visibility    what a worker elsewhere has to see, checked before it works
"""
