"""User stores: what serving remembers of users, embedded or shared by several machines."""
