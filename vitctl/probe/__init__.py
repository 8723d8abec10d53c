"""The few-shot probe: what a frozen feature is worth to a linear model. Pure maths on arrays.

draws       which images are the shots
moments     mean, scatter and sums by class of features, which add up
ridge       ridge regression of classes on features, closed form, float64
neighbours  k nearest neighbours by cosine, weighted
logistic    multinomial logistic regression
held_out    the choice of a parameter on examples held out of those that were drawn
probes      the list of these probes, and what they have in common
scoring     which images classifiers answer rightly, in fp32 where that proves it
intervals   mean over draws, and its uncertainty
fewshot     features -> the accuracy of every draw, and their summary
"""
