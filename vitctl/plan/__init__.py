"""Does a training run fit hardware one doesn't have, how fast is it there, what does it cost.

hardware, topology   what there is: chips, slices, the devices of this machine
program              the real train step, compiled for it; its costs and its memory
collectives          what devices send each other, and how long links take
cost                 seconds of a step: a roofline, and libtpu's own count
calibration          from those to images/s, by the paper's measured throughput
estimate             all of it without a compiler
options              ways to run: mesh, recomputation, batch, and what can be counted of them
search               which of them are compiled, and which is the fastest
judge                what programs and counts say of a way: memory, rate, what would help
bill                 device-hours, money, energy
answer               what `vitctl plan` says
"""
