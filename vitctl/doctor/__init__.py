"""Whether a machine is fit to train on: checks that measure, each with a verdict and a hint.

finding    the verdict of one check, with its hint
checks     the list of checks, by the process they run in
machine    clock, memory, cores, open files
packages   versions, and combinations that are known to go wrong
store      disk, rename, lock, the file server's clock
bucket     a store in a bucket: reach, objects, lease, speed
devices    devices that jax finds; whether they compute and exchange correctly
batches    time to the first batch
child      one group of checks in a process of its own
supervise  starts those processes and ends the ones that hang
"""
