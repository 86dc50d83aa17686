"""Sources of photographs: a class a file, each file named as ``data.source``.

They know nothing of crops, order, processes or training.
"""
