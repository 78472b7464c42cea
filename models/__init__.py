"""Weights, and the engines that generate with them."""
