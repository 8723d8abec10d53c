"""What to train with a budget: the laws of models, joined with what a device does in an hour.

    budget    `200h`, `1e21 FLOPs`, `$500`, ... -> an amount of one thing
    target    `v5e:4x4`, `8xH100`, `local` -> devices, their memory and peaks
    evidence  measured runs: of the user's store or table, else the paper's
    own_runs  what a store says of errors and speeds
    own_settings  what such runs were trained with, and which of them were trained alike
    fitting   a model, a dataset and devices -> settings, layout and memory; or why it does not fit
    rates     images a second of each model there
    choice    laws, costs and a budget -> what to train
    answer    the result of `vitctl advise`, as one value

The paper's points lie beside these modules, as in examples/scaling, to be there in a wheel.
"""
