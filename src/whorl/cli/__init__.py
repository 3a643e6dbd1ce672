"""cli: the terminal's face of the house. Reads arguments and draws; what is done is done by the floors below."""
