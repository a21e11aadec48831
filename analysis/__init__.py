"""What trials mean: records, statistics, tables and figures. No torch, no Ray."""
