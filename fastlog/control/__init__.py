"""Who is in the cluster, who controls it, and which topics there are."""
