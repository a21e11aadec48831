"""One run of a study by one driver: work queue, engine on Ray Tune, recorder, progress."""
