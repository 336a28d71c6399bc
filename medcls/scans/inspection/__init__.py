"""What a folder holds, for a person to look at: tables and contact sheets."""
