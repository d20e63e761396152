"""What a workspace owes the people in it: forgetting them, and proving it."""
