"""Define pipelines and run them: the public names."""
