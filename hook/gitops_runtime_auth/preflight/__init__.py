"""What only ``check`` needs: the chart as the user's helm renders it, the cluster and Argo CD as seen from a laptop."""
