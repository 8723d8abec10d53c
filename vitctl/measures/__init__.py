"""How good the answers of a classifier are, once all images are scored. Pure maths on arrays.

answers        what a model answered to each image of a split
metric_titles  every metric by its name, for people; imports no array library
metrics        the metrics of a whole split, with all they need for an interval
ranking        average precision of a class
table          all metrics of some answers, each with its interval
paired         two classifiers on the same images
results        the files of an evaluation, as others read them; imports no array library
vtab           VTAB's tasks by name, their groups and means
bootstrap      95 % intervals by drawing the images again
"""
