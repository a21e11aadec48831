"""Results as HTML pages, each one file that needs nothing else: of a study, and of all claims."""
