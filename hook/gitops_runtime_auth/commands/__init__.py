"""Contains one module for each command of the program. Only ``cli`` imports from here."""
