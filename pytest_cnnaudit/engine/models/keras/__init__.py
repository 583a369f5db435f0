"""Models of Keras 3, on TensorFlow, PyTorch and JAX.

PYTEST_DONT_REWRITE
"""
