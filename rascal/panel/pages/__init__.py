"""The pages of the panel, one module a section; each has routes(panel)."""
