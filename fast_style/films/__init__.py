"""Films read and written, with their sound and tags: the only room that uses PyAV.

It must not know how frames are painted, nor any network.
"""
