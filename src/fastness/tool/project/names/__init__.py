"""What names and expressions stand for, across the whole project."""
