"""Modules as OCI artifacts, Timoni Bundle files, and the images of a module. No I/O."""
