"""How arrays lie on devices: the mesh, and the axes that are divided.

    spec       `data=4,fsdp=2`: the number of devices on each axis of the mesh
    rules      which axes of a parameter are divided: a table by role
    optimizer  which axes of the optimizer's state are divided: as the parameters'
    layout     mesh, weights, optimizer state, batches and activations, for jax

`spec` and `rules` need no array library. Every number of a run is the same under any layout, up to
the order of sums.
"""
