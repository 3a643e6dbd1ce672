"""The ground floor: small, closed, without torch. A new file here needs a decision note."""
