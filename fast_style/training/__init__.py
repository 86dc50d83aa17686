"""Trainings: runs and their folders, the Lightning module, photographs, callbacks, configuration.

Only this room knows Lightning and Hydra.
"""
