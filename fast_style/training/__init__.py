"""Trainings: runs and their folders, the Lightning module, photographs, callbacks, configuration.

Alone knows Lightning and Hydra.
"""
