"""Films read and written, with their sound and tags: the only room that knows PyAV.

Must not know what is painted, nor any network.
"""
