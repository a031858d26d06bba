"""Bundle files: format 1, read and written; knows no registry and no store."""
