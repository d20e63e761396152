"""A workspace in a bucket: its index, its lease, and the folder of this machine in which it is worked on."""
