"""Scaling laws: error against compute, as in "Scaling Vision Transformers".

    config        the settings of a study; imports no array library
    settings      the configuration of a study -> the settings of its mathematics
    names         the words for choices; imports nothing heavy
    laws          E = a (C + d)^-b + c and its simpler forms
    solver        many bounded least-squares fits at once
    projection    the same where a and c are linear: a search over b and d
    frontier      the runs that no cheaper run beats
    fit           the law of a frontier, from many starts
    profile       intervals from the cost along each parameter
    selection     how far picking lucky runs has pulled the law down
    bootstrap     refits of drawn tables
    compare       the forms against each other, by AIC and by extrapolation
    form_choice   the form that predicts held-out runs best, and how sure that is
    points        runs as columns; what no law can describe
    repeats       the worth of repeated images
    repeats_luck  the effect of choosing lucky runs on that worth
    seeds         runs of one cell, averaged
    bottlenecks   best error by model and by training set
    curves        one model's learning curve and its noise
    efficiency    images needed for equal error
    allocation    the best model and duration for a budget
    model_law     one model's own law, of images seen and of the training set
    model_fit     the laws of single models, fitted to their runs
    user_table    a user's table -> points: columns, units, and the choice written into the Config
    published     the laws the paper prints
    study         all of it for one table
    fit_line      the parameters of a law, for lists of artifacts
    summary       a study as typed values: for `--json` and fit.json; imports no array library
    report        a study -> its summary

Numbers in, numbers out: nothing here opens a file, prints or draws.
"""
