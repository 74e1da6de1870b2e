"""The compiled engine: the same model as `rounds`, event to event. Imported only when a simulation runs."""
