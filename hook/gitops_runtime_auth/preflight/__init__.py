"""Contains what only ``check`` needs: rendering with the user's helm, and asking cluster and Argo CD from a laptop."""
