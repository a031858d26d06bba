"""CUE text to a tree of fields, without evaluating it. Pure."""
