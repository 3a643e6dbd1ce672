"""Not a member: its name begins with an underscore."""
