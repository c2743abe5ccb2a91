"""Training on several devices and machines: strategies, clusters, parameter servers, sharded experts."""
