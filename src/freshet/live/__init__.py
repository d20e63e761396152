"""Stage: live signals. Decayed counts of what people take up now, as a bounded change of the fused score."""
