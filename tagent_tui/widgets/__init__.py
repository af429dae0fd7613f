"""The widgets: they get rows and post messages; what a row says is decided in `view.py` and beside the screens."""
