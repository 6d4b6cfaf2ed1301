"""What is compared: three ways to serve the same two routes, each written as its users write it."""
