"""Arrays of a checkpoint on disk, and its position in the data.

arrays       the arrays of a checkpoint, written and read through orbax
series       the saves of one run: only the first has to describe its arrays
zarr_chunks  which files of a stored array hold the parts that this process needs
mean         the weighted mean of several checkpoints' weights
event_loops  loops that orbax reads in, closed only when their reads have ended
position     where in its data a checkpoint is: `position.json`; imports no array library
"""
