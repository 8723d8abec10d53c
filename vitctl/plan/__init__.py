"""Does a training run fit hardware one doesn't have, how fast is it there, what does it cost.

topology     `v3:32x32` -> a slice of chips, and its devices as jax objects
program      the real train step, compiled for absent devices; its costs and its memory
compiler     the programs that an answer needs: the real one, and shallow ones for counting
hlo          the text of an optimized HLO module: its lines, and how often each runs
collectives  what devices send each other, and how long links take
cost         seconds of a step: a roofline, and libtpu's own count
calibration  from those to images/s, by the paper's measured throughput
estimate     all of it without a compiler
gpu_calibration  the same for GPUs, by the throughput that others published
candidates   ways to run: mesh, recomputation, batch, and what can be counted of them
search       which of them are compiled, and which is the fastest
patience     waiting for a compiler so that Ctrl-C ends the wait
judge        programs and counts -> memory, rate, and changes that would help
bill         device-hours, money, energy
answer       the result of `vitctl plan`, as one value
"""
