"""Broken scans by number: seeds that medcls reads, mutations of them, and a child process that plays the user's."""
