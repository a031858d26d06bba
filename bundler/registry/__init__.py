"""HTTP to registries; knows no bundle and no store."""
