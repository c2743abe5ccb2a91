"""Devices and machines: strategies, clusters, parameter servers, sharded experts."""
