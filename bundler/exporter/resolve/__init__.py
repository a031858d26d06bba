"""Selection to Resolution: tags chosen, pinned to digests, and walked down to every manifest."""
