"""Search strategies measured on published learning curves; see __main__.py."""
