"""The configuration by which the nodes of a cluster find images at the target."""
