"""The report page: what a bundle holds, for the person who signs its transfer; and then for an engineer.

gather (Bundle → PageContents) → render (PageContents → HTML) → output. Values and rendering do no I/O.
"""
