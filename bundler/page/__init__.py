"""The report page of a bundle, for the person who signs its transfer, and then for an engineer.

gather (Bundle → PageContents) → render (PageContents → HTML) → output. Values and rendering do no I/O.
"""
