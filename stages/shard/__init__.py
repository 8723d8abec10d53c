"""`vitctl shard`: images -> a dataset artifact."""
