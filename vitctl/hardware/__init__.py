"""Devices and machines: their names, peaks, precision and memory.

accelerators       names of hardware in clouds -> chips of a slice; no array library
tpus               peak rates and memory of TPUs, by public sources
gpus               peak rates of GPUs, by NVIDIA's data sheets
peaks              the peak of a device, as the base of MFU
machine            devices and memory of this machine
precision          the type of matrix multiplications
compilation_cache  a cache of compiled programs, for later commands
"""
