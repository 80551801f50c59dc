"""Where cluster state lives: a tree of versioned nodes, in ZooKeeper or in a local file."""
