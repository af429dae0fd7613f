"""The template library: pipelines that come with the product. Each is a package that builds one pipeline."""
