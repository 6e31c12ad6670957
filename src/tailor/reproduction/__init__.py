"""What a version was made of, kept when it is registered, and the rerun that shows that the same comes out again."""
