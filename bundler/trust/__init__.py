"""The origin of a bundle and its place in the order: statement and signatures."""
