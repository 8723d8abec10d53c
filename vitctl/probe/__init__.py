"""The few-shot probe: what a frozen feature is worth to a linear model. Pure maths on arrays.

draws      which images are the shots
ridge      closed-form regression on them
intervals  mean over draws, and how sure it is
fewshot    the three together
"""
