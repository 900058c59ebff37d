"""Posts a saved JSON report as a review of a pull request or merge request; the only part with a network client."""
