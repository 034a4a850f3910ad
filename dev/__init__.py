"""Programs for whoever works on the project: pictures, recordings, the release."""
