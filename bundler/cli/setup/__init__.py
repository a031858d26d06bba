"""Values that commands work with, made of their options and the environment."""
