"""Worker processes: started, asked, waited for within limits, and ended."""
