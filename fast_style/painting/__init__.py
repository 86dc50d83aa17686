"""A trained style as a function: controls, strips, what runs the network, still films.

Must not know VGG16, the losses, Lightning or Hydra.
"""
