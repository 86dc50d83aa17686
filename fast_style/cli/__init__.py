"""The commands as a person meets them: parsers, progress, messages, which files are meant.

Knows of everything below; nothing below knows of command lines.
"""
