"""Further terms of the loss: a class a file, each file named as in ``loss.terms``.

They know nothing of training, nor of each other.
"""
