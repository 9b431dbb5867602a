"""What is fitted: factors, the item–item graph, what is bought together."""
