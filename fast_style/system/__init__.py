"""Below everything: devices, memory, files, signals, what the package carries, messages.

Must not know of pictures or networks.
"""
