"""What only ``check`` needs, on a user's own machine."""
