"""What Parley costs, next to what others cost: `python -m bench`. See README.md."""
