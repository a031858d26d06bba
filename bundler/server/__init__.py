"""A registry on this machine, straight off a bundle or a directory: read-only, or one that takes pushes."""
