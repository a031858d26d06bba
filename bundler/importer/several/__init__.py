"""Several bundles, or a folder of them, imported in the right order. `import_several` is the flow."""
