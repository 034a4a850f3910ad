"""What the user said: the chart's values, validated, as frozen objects."""
