"""A trained run in the forms that others load, checked, and published."""
