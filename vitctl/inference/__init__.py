"""A trained model in use: its weights, its features, its scores.

weights         the weights of a checkpoint, and the images they are applied to
weights_choice  raw or averaged weights; imports no array library
features        the `pre_logits` of images, the features under the classifier
metrics         what a model is scored by, each a value an image
prediction      the likeliest classes, and their probabilities
scoring         the mean of every metric over every example exactly once
answering       what a model answers to each image of a split
confusion       classes that are right, and the ones they are mistaken for
"""
