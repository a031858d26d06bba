"""The compact form of a bundle file: layers as recipes over files that stand in it once."""
