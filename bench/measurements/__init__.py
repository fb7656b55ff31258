"""One module for each measurement: `measure(folder)` yields its figures."""
