"""What a person meets: parsers, messages, progress bars, which files were meant.

Knows everything below; nothing below knows command lines.
"""
