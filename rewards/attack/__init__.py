"""A red team for a recipe's rewards: completions that are wrong by construction, and what they earn.

A completion is a `Genome` of named parts (`answers`, `thinkings`, `layouts`, `extras`); `search` combines those that
pay; `measure` sets each beside what honest right and wrong answers earn; `record` keeps the finds.
"""
