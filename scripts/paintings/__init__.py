"""The project's own five paintings, one module each, and what they share."""
