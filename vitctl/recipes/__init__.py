"""Published recipes as TOML, and how one becomes the settings of a run.

recipe       the form of a recipe file
settings     what a user gives -> the settings of a training run
cropping     the smallest crop of small images
pretraining  model, data and recipe -> the settings of pretraining
composed     commands that train several models by others: how each is trained, and its images
branching    a checkpoint -> the settings of a run that branches off it
going_on     a checkpoint and images -> the settings of pretraining that goes on from it
finetuning   a pretrained checkpoint and a dataset -> the settings of fine-tuning
held_out_scores  learning rates that are tried, and scored on held-out images
few_images   the command for few images, where the recipe that is chosen learns little of them
measuring    a checkpoint and the images it is measured on: inputs, runtime, first settings
embedding    which features of images are made: settings of `vitctl embed`, and of pixels
embedded     features of images -> an artifact of them
overlap      whether training data was searched for the images a model is measured on
searches     results of `vitctl dedup`: what they say of images to train on and to measure on
trained_records  images that a model was trained on, by the rows of one stored dataset
naming       default names of artifacts made from a checkpoint
"""
