"""The tests. A package, so that the network tests can share their sockets."""
