"""The assertions, one file a family.

PYTEST_DONT_REWRITE
"""
