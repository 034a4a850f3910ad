"""What the program can do: one module per command. Only ``cli`` imports from here."""
