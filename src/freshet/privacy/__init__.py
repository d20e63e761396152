"""What a workspace owes the people in it: forgetting them, proving it, and dropping data that is too old."""
