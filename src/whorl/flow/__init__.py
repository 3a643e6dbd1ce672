"""flow: reads recipes, plans, runs stages, keeps the lineage. Knows stages only by name, and loads them only when asked."""
