"""How arrays lie on devices: `spec` says it in words, `rules` by parameter, `layout` to JAX.

`spec` and `rules` need no array library. Every number of a run is the same under any layout, up to
the order of sums.
"""
