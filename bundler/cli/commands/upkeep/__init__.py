"""Commands for upkeep of this machine: store, volumes, demo, completion."""
