"""The HTTP service around `freshet.serving`."""
