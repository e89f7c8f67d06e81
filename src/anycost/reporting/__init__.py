"""What runs have measured, gathered: tables, CSV files and figures for a paper."""
