"""The command line: per command parse, call, print. The only place that reads the environment."""
