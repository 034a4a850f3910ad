"""The chart on a real cluster with a real Argo CD."""
