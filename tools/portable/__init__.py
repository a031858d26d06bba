"""Build the program as one folder that needs nothing of its machine but a Linux kernel.

The folder has a Python, the packages, every shared library down to libc, and the dynamic linker that
starts them. `archive` packs it for a stick, `image` for a registry. Nothing is frozen or patched: the parts
are those of the machine that builds, without what the program never loads.
"""
