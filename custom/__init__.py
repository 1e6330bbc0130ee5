"""Networks of your own: `model.family: custom.mine:make` in params.yaml names the function `make` in custom/mine.py.

The stages that train depend on this folder, so an edit here makes them run again. docs/own-models.md has an example.
"""
