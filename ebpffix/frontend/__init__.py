"""What one analysed file looks like to a transform."""
