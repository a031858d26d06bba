"""Who made a bundle, and whether it is the newest: statement, signatures, what an import remembers."""
