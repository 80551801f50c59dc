"""Apache Kafka and ZooKeeper from their published jars, and fastlog itself, as processes of a test.

`python -m tests.peers.setup` fetches what is needed. Everything started from here is stopped by its
own process id, and dies with the test run.
"""
