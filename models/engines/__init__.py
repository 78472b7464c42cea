"""What generates: requests in, generations out."""
