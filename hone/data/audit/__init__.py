"""What a careful reader would notice about a table and its split. One kind of finding a file; `report` calls them all.

Nothing but counts is told about test rows: leaks, ids and levels are looked for in training rows.
"""
