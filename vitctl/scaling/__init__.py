"""Scaling laws: error against compute, as in "Scaling Vision Transformers".

Numbers in, numbers out: nothing here opens a file, prints or draws.

laws         E = a (C + d)^-b + c and its simpler forms
solver       many bounded least-squares fits at once
projection   the same where a and c are linear: a search over b and d
frontier     the runs that no cheaper run beats
fit          the law of a frontier, from many starts
profile      intervals from the cost along each parameter
selection    how far picking lucky runs has pulled the law down
bootstrap    refits of drawn tables
compare      the forms against each other, by AIC and by extrapolation
points       runs as columns; what no law can describe
repeats      what images seen again are worth
repeats_luck what choosing lucky runs does to that
seeds        runs of one cell, averaged
bottlenecks  best error by model and by training set
curves       one model's learning curve and its noise
efficiency   images needed for equal error
allocation   the best model and duration for a budget
published    the laws the paper prints
study        all of it for one table
"""
