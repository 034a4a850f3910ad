"""Measures what the product costs, beside what people do today: ``make bench``."""
