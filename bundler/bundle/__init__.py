"""The file that crosses: format 1, both ways; knows no registry and no store."""
