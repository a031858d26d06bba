"""A kit: everything that crosses in one folder, with checksums and a page that needs no program to read."""
