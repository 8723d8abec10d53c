"""The vision transformer: variants, accounting, forward pass. Nothing is imported here.

`variants`, `config` and `accounting` need no array library; `vit` is the model itself.

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
