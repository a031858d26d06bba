"""Export, import and policy files, and the options that they share with the command line. No I/O."""
