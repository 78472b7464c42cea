"""What the training stages and a finished run share."""
