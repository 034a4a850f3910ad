"""Reads what the user set: the chart's values, validated, as frozen objects."""
