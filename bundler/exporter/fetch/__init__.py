"""Resolution to blobs in the store."""
