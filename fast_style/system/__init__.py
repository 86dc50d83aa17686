"""What the machine offers: hardware, memory, files, what the package carries, messages.

Must not know of pictures or networks.
"""
