"""The figures and tables of the documentation, by page."""
