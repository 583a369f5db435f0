"""What runs a pass over the batches of a call: an executor a file.

PYTEST_DONT_REWRITE
"""
