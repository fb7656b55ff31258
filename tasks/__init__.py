"""Celery: thin tasks that call app.turns."""
