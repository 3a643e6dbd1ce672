"""The corpus room: from raw files to clean documents in parts, with a ledger of everything that was dropped and why."""
