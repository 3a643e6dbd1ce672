"""compress: smaller models, and models in the formats of other tools."""
