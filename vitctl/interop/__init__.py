"""Parameter trees of other codebases, mapped to and from ours. Nothing is imported here.

big_vision  parameters under big_vision's names, both ways
"""
