"""The few-shot probe: what a frozen feature is worth to a linear model. Pure maths on arrays.

draws      which images are the shots
moments    mean, scatter and sums by class of features, which add up
ridge      ridge regression of classes on features, closed form, float64
scoring    the classes that classifiers answer, in fp32 where that proves them
intervals  mean over draws, and its uncertainty
fewshot    features -> the accuracy of every draw, and their summary
"""
