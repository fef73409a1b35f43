"""Looking at production: the parts of `<model>/monitoring_report`."""
