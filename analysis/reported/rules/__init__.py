"""What reported numbers must satisfy: a module for each group of rules.

A rule is a function of printed numbers. It returns what is wrong, in a sentence, or None. Its parameters are the
keys that a check in a record may have.
"""
