"""One module for each twistd command: its options and its service."""
