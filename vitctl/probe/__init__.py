"""The few-shot probe: what a frozen feature is worth to a linear model. Pure maths on arrays.

draws      which images are the shots
ridge      ridge regression of classes on features, closed form, float64
intervals  mean over draws, and its uncertainty
fewshot    features -> the accuracy of every draw, and their summary
"""
