"""The vision transformer: variants, accounting, forward pass. Nothing is imported here.

    variants       sizes by name, spellings of names, labels of other sizes
    other_names    names of models in other libraries, read for a hint
config         what a model is: every shape follows from it
    heads          how tokens become one vector: every head as a record
    feature_point  where in a model features are read
    accounting     parameters and FLOPs in closed form
    remat          what the backward pass computes again
    roles          tables by a parameter's role
    posemb         position embeddings: fixed ones, resampling of learned ones
    shapes         shapes and types of the weights, nothing allocated
    layers         the parts of a block: dense, norm, attention, MLP
    vit            the model itself: `init` and `apply`
    part           the parameters that are trained, where others are constant
resize         trained parameters for another resolution or other classes

All but `layers`, `part`, `posemb`, `resize`, `shapes` and `vit` need no array library.

Axes have one letter each, the same in types, einsum and comments:

| letter | axis |
|---|---|
| b | example in the batch |
| n | token asking (query) |
| m | token answering (key, value) |
| d | width of the residual stream |
| h | attention head |
| k | feature inside a head, d / h |
| f | hidden feature of the MLP |
| y | class |
| x | row of the patch grid |
| c | column of the patch grid |
| p | pixel inside a patch (p p 3: rows, columns, colours) |
"""
