"""What is kept on disk: the workspace, its artifacts, the ledger of runs, releases, and who may write."""
