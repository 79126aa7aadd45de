"""What rules know about libraries and about service code in general. Each module is one subject; rules say what is wrong."""
