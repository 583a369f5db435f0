"""What computes: models of each framework.

PYTEST_DONT_REWRITE
"""
