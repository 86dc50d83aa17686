"""Descent on the pixels of a picture, and what evaluate measures with it.

Must not know of trainings.
"""
