"""A trained style as a function: controls, strips, what runs the network, still films.

It must not import VGG16, the losses, Lightning or Hydra.
"""
