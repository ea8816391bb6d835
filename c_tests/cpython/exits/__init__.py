"""The table of everyday exits: ordinary programs, and how they end under stock CPython and under the fork."""
