"""lmprep: the teaching library of an interview-prep textbook for language models.

Importing the package itself loads nothing else, so that `lmprep.study` works without torch.
"""
