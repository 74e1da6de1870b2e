"""Reports: tables, sentences, charts and timelines made of results."""
