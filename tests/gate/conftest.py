"""A property is judged by its examples, not by how busy the machine was."""

from hypothesis import settings

settings.register_profile("cnnaudit", deadline=None)
settings.load_profile("cnnaudit")
