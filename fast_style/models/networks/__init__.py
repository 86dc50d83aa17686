"""The designs: a class a file, each file named as ``network.name``.

They know nothing of training.
"""
