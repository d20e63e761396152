"""Backups of a workspace, and workspaces made of them.

A backup holds every file of one moment under checksums. What it holds of a user is encrypted with that
user's key (`storage.user_keys`), which is no part of it: where the key is dropped, no backup can tell
anything of that user any more.

    contents     which files belong into a backup, and how each is kept
    row_pieces   rows of a table as bytes, and back
    sealed_rows  tables of which each user's rows are encrypted with that user's key
    sealed_file  files of many users, encrypted as a whole
    backup_index what a backup consists of
    making       makes one, sending what the last one lacks
    restoring    makes a workspace of one
    lost_rows    what follows from rows that nobody can read any more
    safekeeping  keys and secrets beside the workspace
"""

from freshet.backups.making import Made, make
from freshet.backups.restoring import Restored, restore

__all__ = ["Made", "Restored", "make", "restore"]
