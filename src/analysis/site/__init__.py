"""The report site: static pages of a study's results, notebooks and numbers, opened from a folder.

``python -m analysis.site --study virtual`` builds it; no page loads anything from outside its folder.
"""
