"""Point-cloud data: sources, preparation into shards, the decoded cache, augmentation and batches."""
