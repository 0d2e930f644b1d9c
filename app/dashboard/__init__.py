"""The pages for people, rendered here from templates; no script or style comes from elsewhere."""
