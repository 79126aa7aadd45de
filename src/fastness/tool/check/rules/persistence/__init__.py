"""Sessions, transactions, queries and pools."""
