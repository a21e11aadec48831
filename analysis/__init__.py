"""What the journals of trials say: records, statistics, tables and figures. Imports neither torch nor Ray."""
